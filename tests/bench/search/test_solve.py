"""The solver finds what trying every combination finds."""

from __future__ import annotations

import itertools
import random

import pytest

from bench.search.candidates import Choice
from bench.search.report import spread
from bench.search.solve import Plan, best_within, pareto_plans

STAGES = ("mid", "up0", "up1", "up2")


def problem(seed: int, forbidden: float = 0.0):
    """Choices, their errors, and times that depend on a stage's neighbours."""
    lot = random.Random(seed)
    choices = {name: [Choice(op, width) for op in "ab" for width in (8, 16, 24)] for name in STAGES}
    mse = {(name, choice): lot.random() for name, of_stage in choices.items() for choice in of_stage}
    table: dict[tuple, float | None] = {}

    def seconds(stage, before, here, behind):
        key = (stage, before and before.channels, here, behind and behind.channels)
        if key not in table:
            table[key] = None if lot.random() < forbidden else lot.random()
        return table[key]

    return choices, mse, seconds


def every_plan(choices, mse, seconds, other_s):
    for combination in itertools.product(*choices.values()):
        around = [None, *combination, None]
        times = [seconds(name, *around[i : i + 3]) for i, name in enumerate(STAGES)]
        if None not in times:
            error = sum(mse[name, choice] for name, choice in zip(STAGES, combination, strict=True))
            yield combination, other_s + sum(times), error


@pytest.mark.parametrize(("seed", "forbidden"), [(0, 0.0), (1, 0.0), (2, 0.3), (3, 0.6)])
def test_the_set_is_the_one_that_trying_everything_gives(seed, forbidden):
    choices, mse, seconds = problem(seed, forbidden)
    everything = list(every_plan(choices, mse, seconds, 0.5))
    best = {
        (round(s, 9), round(e, 9))
        for _, s, e in everything
        if not any(s2 <= s and e2 <= e and (s2, e2) != (s, e) for _, s2, e2 in everything)
    }
    found = pareto_plans(choices, mse, seconds, 0.5)
    assert {(round(plan.seconds, 9), round(plan.mse, 9)) for plan in found} == best
    assert [plan.seconds for plan in found] == sorted(plan.seconds for plan in found)


def test_a_plan_is_the_sum_of_its_stages():
    choices, mse, seconds = problem(5)
    for plan in pareto_plans(choices, mse, seconds, 0.25):
        around = [None, *plan.chosen.values(), None]
        assert plan.seconds == pytest.approx(
            0.25 + sum(seconds(name, *around[i : i + 3]) for i, name in enumerate(STAGES))
        )
        assert plan.mse == pytest.approx(sum(mse[item] for item in plan.chosen.items()))


def plans(*pairs: tuple[float, float]) -> list[Plan]:
    return [Plan({}, seconds, mse) for seconds, mse in pairs]


def test_the_best_plan_within_the_budget():
    found = plans((1.0, 0.9), (2.0, 0.5), (3.0, 0.1))
    assert best_within(found, 2.5).mse == 0.5
    assert best_within(found, 2.0).mse == 0.5


def test_a_budget_that_nothing_keeps_gets_the_fastest():
    assert best_within(plans((1.0, 0.9), (2.0, 0.5)), 0.5).seconds == 1.0


def test_a_thinned_set_keeps_its_ends():
    found = plans(*((1.1**i, 1 / (i + 1)) for i in range(40)))
    shown = spread(found, 5)
    assert len(shown) == 5
    assert (shown[0], shown[-1]) == (found[0], found[-1])
    assert spread(found[:3], 5) == found[:3]
