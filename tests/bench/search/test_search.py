"""From choices to plans on a tiny teacher: deterministic, resumable, and what it writes can be run."""

from __future__ import annotations

import time

import pytest
import torch
import yaml

from bench.cache import Cache
from bench.config import compose, to_config, to_run_spec
from bench.schema import Config
from bench.search.candidates import Choice, SearchSpace, candidates
from bench.search.damage import Judge, psnr_db
from bench.search.latency import LayerTimes, _time
from bench.search.report import plan_yaml, study_yaml, table
from bench.search.search import search
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.wan import wan_spec
from flash_vaed.pruning import calibrate
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder, random_latents

SPACE = SearchSpace(("conv3d", "conv2d"), (1.0, 0.5), 4)
SPEC = wan_spec(8, (1, 2), 1, (True,), FOUR_CHANNELS)  # mid, up0, up1


@pytest.fixture(scope="module")
def teacher():
    return random_decoder(SPEC)


@pytest.fixture(autouse=True)
def _time_goes_by_weights(monkeypatch):
    """Layers this small take times that tell more of the machine than of them; here more weights take longer."""
    monkeypatch.setattr("bench.search.latency._time", lambda layer, x: sum(p.numel() for p in layer.parameters()) / 1e9)


def run(teacher, folder, say=lambda text: None):
    fit = [random_latents(2, seed=i) for i in range(2)]
    cache = Cache(folder, lambda line: pytest.fail(line))
    statistics = calibrate(teacher, fit)
    timed = random_latents(2, 4, 4)
    return search(teacher, statistics, fit, [random_latents(2, seed=9)], timed, SPACE, cache, {}, "here", say)


def test_widths_are_multiples_and_never_wider_than_the_teachers():
    assert SearchSpace((), (1.0, 0.75, 0.5, 0.25, 0.125), 8).widths(48) == [48, 40, 24, 16, 8]
    assert SearchSpace((), (0.125,), 8).widths(24) == [24, 8]
    assert SearchSpace((), (0.5,), 8).widths(6) == [6]


def test_the_teachers_own_choice_comes_first_and_attention_keeps_its_width():
    found = candidates(SPEC, SPACE)
    assert {name: choices[0] for name, choices in found.items()} == {
        name: Choice("conv3d", stage.channels) for name, stage in SPEC.stages.items()
    }
    assert {choice.channels for choice in found["mid"]} == {16}
    assert {choice.channels for choice in found["up1"]} == {8, 4}


def test_a_width_that_ltx_cannot_have_alone_is_left_out():
    spec = ltx_spec((16, 16, 8), (1, 1, 1, 1), (False, True, True), patch=2, latents=FOUR_CHANNELS)
    found = candidates(spec, SPACE)
    assert {choice.channels for choice in found["up1"]} == {16}
    assert {choice.channels for choice in found["up2"]} == {8, 4}


def test_the_search_finds_the_teacher_at_one_end_and_cheaper_plans_at_the_other(teacher, tmp_path):
    found = run(teacher, tmp_path)
    assert found.plans[-1].mse == 0
    assert found.plans[-1].seconds <= found.teacher_s * 1.001
    assert found.plans[0].seconds < found.plans[-1].seconds
    assert all(a.mse > b.mse for a, b in zip(found.plans, found.plans[1:], strict=False))


def test_a_second_search_repeats_nothing_and_finds_the_same(teacher, tmp_path, monkeypatch):
    first = run(teacher, tmp_path)
    monkeypatch.setattr(Judge, "mse", lambda *_: pytest.fail("judged again"))
    monkeypatch.setattr("bench.search.latency._time", lambda *_: pytest.fail("timed again"))
    assert run(teacher, tmp_path).plans == first.plans


def test_layers_of_one_shape_are_timed_once(monkeypatch):
    timed = []
    monkeypatch.setattr("bench.search.latency._time", lambda layer, x: timed.append(type(layer).__name__) or 1.0)
    times = LayerTimes(random_latents(2, 4, 4))
    spec = wan_spec(8, (1, 2), 3, (True,), FOUR_CHANNELS)
    total = times.decoder_s(spec)
    assert timed.count("ResidualBlock") == 2  # one of mid and up0 alike, one of up1
    again = len(timed)
    assert times.decoder_s(spec) == total == 1 + 3 + 4 + 3 + 1
    assert len(timed) == again


def test_a_layer_takes_the_time_it_takes():
    class Slow(torch.nn.Module):
        def forward(self, x, stream):
            time.sleep(0.002)
            return x

    assert 0.002 <= _time(Slow(), torch.zeros(1)) < 0.2


def test_what_is_written_can_be_run(teacher, tmp_path):
    found = run(teacher, tmp_path)
    chosen = found.plans[0]
    text = plan_yaml("tiny", chosen, 2.5, "python -m bench search name=tiny")
    assert text.startswith("# Found by: python -m bench search name=tiny\n# Measured: 2.50 times")
    overrides = ["plan=teacher", "plan.name=tiny", "teacher.path=x"]
    overrides += [
        f"plan.stages.{stage}={{operator: {choice.operator}, channels: {choice.channels}}}"
        for stage, choice in chosen.chosen.items()
    ]
    spec = to_run_spec(to_config(compose(overrides), Config))
    assert {change.stage: (change.operator, change.channels) for change in spec.plan if change.channels} == {
        stage: (choice.operator, choice.channels) for stage, choice in chosen.chosen.items()
    }
    study = yaml.safe_load(study_yaml("tiny", found, chosen, 3, "command"))["study"]
    assert 2 <= len(study["points"]) <= 1 + 3, "the teacher, and plans that change it, one of each speed"
    label = f"tiny-{found.teacher_s / chosen.seconds:.1f}x"
    written = to_run_spec(to_config(compose([*study["points"][label].split(), "teacher.path=x"]), Config))
    assert written.plan == spec.plan
    assert "> " in table(found, chosen)


def test_decibels_of_an_error():
    assert psnr_db(4e-4) == pytest.approx(40)
    assert torch.isfinite(torch.tensor(psnr_db(0.0)))
