"""Named decoders side by side, from the study file to the table: tiny ones, on this machine."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench import analysis
from bench.analysis import paper
from bench.calibration import Calibration
from bench.config import compose, options, to_config, to_run_spec
from bench.job import Job, Places
from bench.pin import pin
from bench.run import execute
from bench.schema import Config
from bench.spec import Arm, Runtime, Timing
from bench.study import study_points
from bench.sweep import perform
from bench.tasks.base import Lineup
from bench.tasks.speed import verdict_rows
from bench.timing import Sample
from flash_vaed import save_decoder
from tests.bench.examples import SPEC, request
from tests.flash_vaed.examples import random_decoder, tiny_spec

PLAIN = Runtime("eager", "float32", None, True)
TIMING = Timing(5, 16, 16, 0.0, 2, 2, 0.0)


@pytest.fixture(scope="module")
def arms(tmp_path_factory) -> tuple[Arm, ...]:
    folder = tmp_path_factory.mktemp("decoders")
    save_decoder(random_decoder(tiny_spec(8)), folder / "large")
    save_decoder(random_decoder(tiny_spec(4)), folder / "small")
    rewritten = replace(PLAIN, rewrites=("values", "subpixel"), channels_last=True)
    return (
        Arm("large", str(folder / "large"), "ours", PLAIN),
        Arm("small", str(folder / "small"), "ours", PLAIN),
        Arm("half", str(folder / "small"), "ours", replace(rewritten, dtype="bfloat16")),
        Arm("release", "flash-vaed-wan2.1", "flash_vaed_release", PLAIN),
    )


@pytest.fixture(scope="module")
def results(arms, tmp_path_factory) -> analysis.Results:
    """One run of each task, stored and read again."""
    folder = tmp_path_factory.mktemp("arms")
    for task in ("speed", "stages"):
        spec = replace(SPEC, study=task, task=task, arms=arms, timing=TIMING)
        done = perform(replace(request(folder), spec=spec, label=task), lambda request, message: None, execute)
        assert done.status == "ok", done.error
    return analysis.load(folder / "results")


def rows_of(results, study: str) -> pd.DataFrame:
    run_id = results.runs.set_index("study")["run_id"][study]
    return results.measurements[results.measurements["run_id"] == run_id]


def test_every_arm_that_is_here_has_every_number(results):
    rows = rows_of(results, "speed")
    for metric in (
        "decode_time_s", "first_frame_s", "steady_step_s", "cold_start_s", "peak_memory_bytes", "state_bytes", "psnr",
        "max_abs", "accepted", "macs_per_frame", "parameters",
    ):  # fmt: skip
        found = rows[(rows["metric"] == metric) & rows["value"].notna() & rows["stage"].isna()]
        assert set(found["arm"]) == {"large", "small", "half"}, metric
    assert set(rows[rows["arm"] == "machine"]["metric"]) >= {
        "matmul_flops_float32", "matmul_flops_bfloat16", "copy_bytes", "launch_s",
    }  # fmt: skip


def test_a_program_that_is_not_here_is_a_gap_with_its_reason(results):
    for study in ("speed", "stages"):
        gap = rows_of(results, study).query("arm == 'release'")
        assert gap["value"].isna().all()
        assert gap["note"].str.contains("flash_vaed_release=CHECKOUT").all()


def test_the_loss_is_against_the_same_weights_run_plainly(results):
    table = analysis.arms.compare(results).set_index("arm")
    assert table["psnr"]["large"] == table["psnr"]["small"] == 100
    assert 30 < table["psnr"]["half"] < 80
    assert table["max_abs"]["half"] > 0


def test_ratios_are_against_the_baseline(results):
    table = analysis.arms.compare(results).set_index("arm")
    assert table["ratio"]["large"] == 1
    assert table["ratio"]["small"] == pytest.approx(table["decode_s"]["large"] / table["decode_s"]["small"])
    assert table["ratio_low"]["small"] <= table["ratio"]["small"] <= table["ratio_high"]["small"]
    run_id = results.runs.set_index("study")["run_id"]["speed"]
    assert analysis.arms.ratio(results, run_id, "large", "small").value == pytest.approx(table["ratio"]["small"])
    assert (table["roofline"].dropna() > 0).all()
    text = analysis.arms.render_text(results)
    assert "against large" in text
    assert "CHECKOUT" in text


def test_stages_add_up_to_the_decode(results):
    table = analysis.stages.stages(results)
    assert list(table[table["arm"] == "large"]["stage"]) == ["entry", "mid", "up0", "up1", "up2", "up3", "head"]
    assert table.groupby("arm")["share"].sum().to_numpy() == pytest.approx(np.ones(3))
    assert table["convolution_s"].between(0, table["seconds"]).all()
    assert (table.groupby("arm")["convolution_s"].sum() > 0).all()
    assert (table["roofline"] > 0).all()
    assert "convolutions" in analysis.stages.render_text(results)


def test_the_paper_s_figures_read_every_arm_and_stage(results):
    material = paper.Material(results, study="stages")
    for name in ("stage_latency", "roofline"):
        numbers = paper.find_figure(name).numbers(material)
        assert set(numbers["arm"]) == {"large", "small", "half"}
        assert {"up3", "head"} <= set(numbers["stage"])


def test_a_summary_of_arms_has_no_student_and_no_teacher(results):
    summary = analysis.summarise(results)
    assert summary["speedup"].isna().all()


@pytest.mark.faults
@pytest.mark.parametrize(
    ("noise", "drift", "clocks", "said"),
    [
        (0.0, 0.0, {}, None),
        (0.5, 0.0, {}, "interval of the ratio"),
        (0.0, 0.3, {}, "changed by 30.0%"),
        (0.0, 0.0, {"clocks_throttle_reasons.active": "0x0000000000000004"}, "throttled"),
        (0.0, 0.0, {"clocks_throttle_reasons.active": "Not Active"}, None),
        (0.0, 0.0, {"clocks_throttle_reasons.active": "0x0000000000000001"}, None),  # idle
    ],
)
def test_what_may_not_be_quoted_says_why(arms, noise, drift, clocks, said):
    import torch

    random = np.random.default_rng(0)
    samples = [
        Sample(arm, i // 2, i, seconds * (1 + noise * random.random()), 0.0)
        for i in range(8)
        for arm, seconds in (("a", 2.0), ("b", 1.0))
    ]
    lineup = Lineup("run", SPEC, torch.device("cpu"), {}, {}, print, None)
    for row in verdict_rows(lineup, samples, drift, clocks):
        if said is None:
            assert (row["value"], row["note"]) == (1.0, None)
        elif row["arm"] == "b":
            assert row["value"] == 0.0
            assert said in row["note"]


def test_drift_is_the_largest_change_of_a_rate():
    before = Calibration({"float32": 100.0, "bfloat16": 200.0}, 10.0, 1e-6)
    assert before.drift(Calibration({"float32": 101.0, "bfloat16": 200.0}, 8.0, 1e-6)) == pytest.approx(0.2)
    assert before.drift(Calibration({"float32": 101.0, "bfloat16": 260.0}, 10.0, 1e-6)) == pytest.approx(0.3)


def test_every_study_of_arms_composes_and_its_arms_exist():
    found = []
    for name in options("ablations"):
        _, points = study_points([f"ablations={name}"])
        spec = to_run_spec(to_config(compose(points[0].overrides), Config))
        if spec.arms:
            found.append(name)
            assert pin(spec).arms == spec.arms
            assert json.loads(spec.canonical())["baseline"] == spec.arms[0].label
    assert {"speed", "runtime_levers", "scaling", "stage_latency", "peers"} <= set(found)


def test_arms_and_their_tasks_belong_together():
    with pytest.raises(ValueError, match="arms are compared by the tasks"):
        to_run_spec(to_config(compose(["task=speed", "study.name=x"]), Config))


def test_compiled_steps_have_no_stages(arms):
    compiled = (replace(arms[0], runtime=replace(PLAIN, compile="default")),)
    spec = replace(SPEC, task="stages", arms=compiled, timing=TIMING)
    with pytest.raises(ValueError, match="no stages"):
        execute(Job("run", spec, Places("cache"), "cpu", 1), lambda message: None)
