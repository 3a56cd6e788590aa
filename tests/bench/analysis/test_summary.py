"""One row per run, with the numbers that the raw rows imply."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from bench import analysis, records
from tests.synthetic_results import make_run, quality_rows, quickstart, store


def summary_of(tmp_path, *runs):
    return analysis.summarise(analysis.load(store(tmp_path / "results", *runs)))


def only_row(tmp_path, *runs):
    summary = summary_of(tmp_path, *runs)
    assert len(summary) == 1
    return summary.iloc[0]


def test_numbers_follow_from_the_raw_rows(tmp_path):
    row = only_row(tmp_path, make_run("r", speedup=4.0, psnr=28.0, plan="paper", ratio=0.25, criterion="random"))
    assert row["speedup"] == pytest.approx(4.0, rel=0.02)
    assert row["speedup_low"] < row["speedup"] < row["speedup_high"]
    assert row["teacher_decode_time_ms"] / row["decode_time_ms"] == pytest.approx(row["speedup"])
    assert row["fps"] == pytest.approx(17 / (row["decode_time_ms"] / 1000))
    assert row["psnr_source"] == pytest.approx(28.0)
    assert row["psnr_teacher"] == pytest.approx(32.0)
    assert row["teacher_psnr_source"] == pytest.approx(30.0)
    assert row["peak_memory_mb"] == pytest.approx(100.0)
    assert row["teacher_peak_memory_mb"] == pytest.approx(400.0)
    assert row["parameters"] == pytest.approx(5e5), "a stage's parameters are not the decoder's"
    assert (row["clips"], row["clips_failed"]) == (2, 0)
    assert json.loads(row["unavailable"]) == {"lpips": "no AlexNet weights; run: fetch them"}


def test_the_specification_is_unpacked(tmp_path):
    row = only_row(tmp_path, make_run("r", plan="paper", ratio=0.25, criterion="random", phases=("align", "joint")))
    assert (row["plan"], row["ratio"], row["criterion"]) == ("paper", 0.25, "random")
    assert (row["phases"], row["steps"], row["dtype"], row["runtime"]) == ("align+joint", 120, "float32", "eager")
    assert row["stages"] == "mid up0 up1 depthwise3d, up2 up3 conv2d pruned"
    assert row["timing"] == "17x96x96"


@pytest.mark.parametrize("spec", [[], "text", {"plan": 3, "distill": {"phases": "x"}, "prune": None, "seed": True}])
def test_a_strange_specification_is_shown_as_unknown(tmp_path, spec):
    row, rows = make_run("r")
    row["spec_json"] = json.dumps(spec)
    shown = only_row(tmp_path, (row, rows))
    assert math.isnan(shown["ratio"])
    assert shown["psnr_source"] == pytest.approx(28.0)


def test_every_clip_counts_the_same_however_long(tmp_path):
    row, rows = make_run("r", metrics=False)
    for clip, values in (("long", [20.0] * 9), ("short", [30.0])):
        for frame, value in enumerate(values):
            rows.append(records.measurement("r", "student", "psnr", value, unit="dB", higher_is_better=True,
                                            against="source", clip=clip, frame=frame))  # fmt: skip
    assert only_row(tmp_path, (row, rows))["psnr_source"] == pytest.approx(25.0)


@pytest.mark.faults
def test_one_nan_frame_makes_the_mean_nan(tmp_path):
    row, rows = make_run("r")
    next(r for r in rows if r["metric"] == "psnr" and r["arm"] == "student")["value"] = math.nan
    shown = only_row(tmp_path, (row, rows))
    assert math.isnan(shown["psnr_source"])
    assert not shown["on_front"]
    assert shown["ssim_source"] == pytest.approx(0.7), "the other metrics are untouched"


@pytest.mark.faults
def test_an_unreadable_clip_is_counted_and_not_averaged(tmp_path):
    row, rows = make_run("r")
    for arm in ("student", "teacher"):
        rows.append(records.measurement("r", arm, "psnr", None, unit="dB", higher_is_better=True, against="source",
                                        clip="broken", note="no frame could be decoded"))  # fmt: skip
    shown = only_row(tmp_path, (row, rows))
    assert (shown["clips"], shown["clips_failed"]) == (2, 1)
    assert shown["psnr_source"] == pytest.approx(28.0)
    assert "psnr" not in json.loads(shown["unavailable"]), "it is available for the other clips"


def test_a_metric_nobody_has_heard_of_becomes_columns_with_its_direction(tmp_path):
    row, rows = make_run("r")
    rows += [r | {"higher_is_better": False} for r in quality_rows("r", "wobble", "px", 3.0, 2.0, teacher=1.0)]
    results = analysis.load(store(tmp_path / "results", (row, rows)))
    assert analysis.summarise(results).loc[0, "wobble_teacher"] == pytest.approx(2.0)
    column = analysis.columns_of(results)["wobble_source"]
    assert column.title == "Wobble against source (px)"
    assert not column.higher_is_better
    assert column.quality


def test_a_metric_named_like_a_summary_column_cannot_replace_it(tmp_path):
    row, rows = make_run("r")
    rows.append(records.measurement("r", "student", "label", 1.0, unit="", higher_is_better=True))
    assert only_row(tmp_path, (row, rows))["label"] == "r"


def test_failed_runs_keep_a_row_without_numbers(tmp_path):
    row, _ = make_run("r", status="oom", error="out of memory")
    _, rows = make_run("r")
    shown = only_row(tmp_path, (row, rows))
    assert (shown["status"], shown["error"]) == ("oom", "out of memory")
    assert math.isnan(shown["speedup"])
    assert not shown["on_front"]
    assert "psnr_source" not in shown.dropna()


def test_samples_of_one_arm_alone_do_not_enter_the_ratio(tmp_path):
    row, rows = make_run("r", speedup=2.0)
    for repeat in range(100, 103):
        rows.append(records.measurement("r", "student", "decode_time_s", 99.0, unit="s", higher_is_better=False,
                                        repeat=repeat))  # fmt: skip
    assert only_row(tmp_path, (row, rows))["speedup"] == pytest.approx(2.0, rel=0.02)


def test_a_run_without_timing_has_no_speed(tmp_path):
    row, rows = make_run("r")
    shown = only_row(tmp_path, (row, [r for r in rows if r["metric"] != "decode_time_s"]))
    assert math.isnan(shown["speedup"])
    assert math.isnan(shown["fps"])
    assert shown["psnr_source"] == pytest.approx(28.0)


def test_no_run_gives_an_empty_summary_with_its_columns(tmp_path):
    summary = summary_of(tmp_path)
    assert summary.empty
    assert {"run_id", "status", "speedup", "plan", "unavailable", "on_front"} <= set(summary)


def test_reading_the_same_files_twice_gives_the_same_summary(tmp_path):
    folder = quickstart(tmp_path)
    first, second = (analysis.summarise(analysis.load(folder)) for _ in range(2))
    assert first.equals(second)


def test_the_order_of_stored_rows_does_not_matter(tmp_path):
    row, rows = make_run("r")
    forward = only_row(tmp_path / "a", (row, rows))
    backward = only_row(tmp_path / "b", (row, rows[::-1]))
    for name, value in forward.items():
        same = value == backward[name] or (value != value and backward[name] != backward[name])
        assert same or np.isclose(value, backward[name], rtol=1e-12), name
