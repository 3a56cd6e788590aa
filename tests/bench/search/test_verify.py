"""The clock decides which plan is fast enough; predictions only say what to try."""

from __future__ import annotations

import pytest

from bench.cache import Cache
from bench.search.candidates import Choice
from bench.search.search import Found
from bench.search.solve import Plan
from bench.search.verify import Speedups, choose
from bench.timing import TimingPlan
from flash_vaed.families.wan import wan_spec
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder, random_latents

FOUND = Found([Plan({}, 1.0 + 0.1 * i, 1.0 / (i + 1)) for i in range(60)], teacher_s=7.0)


def predicted(plan: Plan) -> float:
    return FOUND.teacher_s / plan.seconds


@pytest.mark.parametrize("truth", [0.6, 0.8, 1.0, 1.3])
def test_the_chosen_plan_is_as_fast_as_asked_for_and_hardly_faster(truth):
    """Where plans take more or less time than predicted."""
    plan, speedup = choose(FOUND, 3.0, lambda plan: truth * predicted(plan))
    assert speedup == truth * predicted(plan)
    assert 3.0 <= speedup < 3.2


def test_a_plan_that_misses_by_a_hair_gives_way_to_the_next_faster_one():
    speeds = {id(plan): predicted(plan) for plan in FOUND.plans}
    near = min(FOUND.plans, key=lambda plan: abs(predicted(plan) - 3.05))
    speeds[id(near)] = 2.999
    plan, speedup = choose(FOUND, 3.0, lambda plan: speeds[id(plan)])
    assert plan is FOUND.plans[FOUND.plans.index(near) - 1]
    assert speedup >= 3.0


def test_a_measured_plan_is_not_measured_again():
    asked: list[Plan] = []
    choose(FOUND, 3.0, lambda plan: asked.append(plan) or 0.9 * predicted(plan))
    assert len({id(plan) for plan in asked}) == len(asked)


def test_what_nothing_reaches_says_what_is_possible():
    with pytest.raises(ValueError, match=r"no plan was measured at 6.0 times .* the nearest at 4.20; lower"):
        choose(FOUND, 6.0, lambda plan: 0.6 * predicted(plan))


def test_the_nearest_of_several_that_are_too_slow_is_named():
    with pytest.raises(ValueError, match=r"no plan was measured at 70 times .* the nearest at 7.00"):
        choose(FOUND, 70, predicted)


def test_speedups_are_measured_once(tmp_path, monkeypatch):
    teacher = random_decoder(wan_spec(8, (1, 2), 1, (True,), FOUR_CHANNELS))
    cache = Cache(tmp_path, lambda line: pytest.fail(line))
    own = {name: Choice(stage.operator, stage.channels) for name, stage in teacher.spec.stages.items()}
    small = Plan({**own, "up1": Choice("conv2d", 4)}, 1.0, 0.1)

    def speedup() -> float:
        return Speedups(teacher, random_latents(3, 8, 8), TimingPlan(0.0, 2, 2, 0.0), cache, "here")(small)

    first = speedup()
    assert first > 0
    monkeypatch.setattr("bench.search.verify.interleaved", lambda *_: pytest.fail("measured again"))
    assert speedup() == first
