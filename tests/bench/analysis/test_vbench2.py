"""Dimensions, categories, totals and paired differences against numbers worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from bench import records
from bench.__main__ import main
from bench.analysis import load, summarise, vbench2
from bench.analysis.bootstrap import mean_of_means
from tests.synthetic_results import make_run, store

CATEGORIES = {"Creativity": ("Diversity", "Composition"), "Controllability": ("Motion_Order_Understanding",)}


def frame(values):
    """{(arm, dimension): {clip: value}} as rows."""
    rows = [(arm, vbench2.PREFIX + dimension, clip, value)
            for (arm, dimension), clips in values.items() for clip, value in clips.items()]  # fmt: skip
    return pd.DataFrame(rows, columns=["arm", "metric", "clip", "value"]).astype({"value": float})


TEACHER = {
    ("teacher", "Diversity"): {"a-0.mp4": 0.5, "b-0.mp4": 0.7},
    ("teacher", "Composition"): {"a-0.mp4": 1.0, "a-1.mp4": 0.0, "b-0.mp4": 1.0, "b-1.mp4": None},
    ("teacher", "Motion_Order_Understanding"): {"c-0.mp4": 1.0, "c-1.mp4": 0.0},
}
STUDENT = {
    ("student", "Diversity"): {"a-0.mp4": 0.4, "b-0.mp4": 0.7},
    ("student", "Composition"): {"a-0.mp4": 0.0, "a-1.mp4": 0.0, "b-0.mp4": 1.0, "b-1.mp4": 1.0},
    ("student", "Motion_Order_Understanding"): {"c-0.mp4": None, "c-1.mp4": 0.0},
}


def row(table, arm, name):
    return table[(table["arm"] == arm) & (table["name"] == name)].iloc[0]


def test_scores_are_plain_means_of_valid_values():
    table = vbench2.compare(frame(STUDENT | TEACHER), CATEGORIES, "teacher", True)
    assert list(table["arm"].drop_duplicates()) == ["teacher", "student"]
    assert row(table, "teacher", "Diversity")["score"] == pytest.approx(0.6)
    composition = row(table, "teacher", "Composition")
    assert composition["score"] == pytest.approx(2 / 3)
    assert (composition["videos"], composition["invalid"]) == (4, 1)
    assert row(table, "teacher", "Creativity")["score"] == pytest.approx((0.6 + 2 / 3) / 2)
    assert row(table, "teacher", "total")["score"] == pytest.approx(((0.6 + 2 / 3) / 2 + 0.5) / 2)
    assert math.isnan(row(table, "teacher", "Diversity")["delta"])


def test_differences_are_means_over_prompts_of_videos_valid_in_both():
    table = vbench2.compare(frame(STUDENT | TEACHER), CATEGORIES, "teacher", True)
    diversity, composition = row(table, "student", "Diversity"), row(table, "student", "Composition")
    assert diversity["delta"] == pytest.approx(-0.05)
    assert (diversity["prompts"], diversity["left_out"]) == (2, 0)
    assert composition["delta"] == pytest.approx((-0.5 + 0.0) / 2)  # a: mean of -1 and 0; b: its one valid pair
    assert composition["left_out"] == 1
    assert composition["low"] <= composition["delta"] <= composition["high"]
    assert row(table, "student", "Creativity")["delta"] == pytest.approx((-0.05 - 0.25) / 2)
    order = row(table, "student", "Motion_Order_Understanding")
    assert (order["delta"], order["prompts"], order["left_out"]) == (0.0, 1, 1)
    assert math.isnan(order["low"])  # one prompt says nothing about others


def test_a_partial_table_has_no_category_and_no_total():
    rows = frame(TEACHER)
    table = vbench2.compare(rows, CATEGORIES, "teacher", complete=False)
    assert row(table, "teacher", "Creativity")["score"] > 0
    assert math.isnan(row(table, "teacher", "total")["score"])
    part = rows[rows["metric"] != vbench2.PREFIX + "Diversity"]
    table = vbench2.compare(part, CATEGORIES, None, complete=True)
    assert math.isnan(row(table, "teacher", "Creativity")["score"])
    assert math.isnan(row(table, "teacher", "total")["score"])
    assert "teacher: 2 of 3 dimensions, no total" in vbench2.text(table, True)
    assert "Diversity" not in vbench2.text(table, True)


def test_motion_order_is_zero_when_nearly_all_are_invalid():
    clips = {f"c{i}-0.mp4": None for i in range(19)} | {"d-0.mp4": 1.0}
    table = vbench2.compare(frame({("x", "Motion_Order_Understanding"): clips}), CATEGORIES, None, False)
    assert row(table, "x", "Motion_Order_Understanding")["score"] == 0.0
    table = vbench2.compare(frame({("x", "Composition"): clips}), CATEGORIES, None, False)
    assert row(table, "x", "Composition")["score"] == 1.0


def test_no_valid_video_is_said():
    table = vbench2.compare(frame({("x", "Composition"): {"a-0.mp4": None}}), CATEGORIES, None, False)
    assert math.isnan(row(table, "x", "Composition")["score"])
    assert "x, Composition: no valid video of 1" in vbench2.text(table, False)


def test_an_unknown_control_is_refused():
    with pytest.raises(ValueError, match="no arm 'other' to compare with; arms: teacher"):
        vbench2.compare(frame(TEACHER), CATEGORIES, "other", True)


def test_the_interval_draws_prompts():
    """Its width is that of the mean over prompts: 1.96 standard errors on either side."""
    values = np.random.default_rng(1).normal(0.1, 0.2, size=(400, 1))
    found = mean_of_means(values)
    error = 1.96 * values.std() / math.sqrt(len(values))
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(error, rel=0.1)
    gaps = values.copy()
    gaps[::2] = math.nan
    assert mean_of_means(gaps).value == pytest.approx(values[1::2].mean())
    assert math.isnan(mean_of_means(np.full((3, 1), math.nan)).value)
    assert math.isnan(mean_of_means(np.zeros((0, 1))).value)
    assert math.isnan(mean_of_means(np.array([[0.1, 0.2], [0.3, math.nan]])).low)


@pytest.fixture(name="results")
def _results(tmp_path):
    run, _ = make_run("vbench-1", study="vbench2", label="student, teacher")
    spec = {"categories": CATEGORIES, "control": "teacher", "complete": False}
    run["spec_json"] = json.dumps({"study": "vbench2", "task": "vbench2", "vbench2": spec})
    rows = [
        records.measurement("vbench-1", arm, vbench2.PREFIX + name, value, unit="1", higher_is_better=True, clip=clip,
                            note=None if value is not None else "invalid")
        for (arm, name), clips in (STUDENT | TEACHER).items() for clip, value in clips.items()
    ]  # fmt: skip
    return store(tmp_path / "results", make_run("other"), (run, rows))


def test_stored_scores_are_read_by_every_reader(results, tmp_path, capsys):
    loaded = load(results)
    assert loaded.finished(vbench2.TASK) == {"vbench-1"}
    assert set(summarise(loaded)["run_id"]) == {"other", "vbench-1"}
    assert main(["report", "--results", str(results)]) == 0
    shown = capsys.readouterr().out
    assert "minus teacher [95 %]" in shown
    line = next(line for line in shown.splitlines() if line.startswith("  Composition"))
    assert line.split()[:3] == ["Composition", "66.67", "50.00"]
    assert "not leaderboard scores" in shown
    assert main(["report", "--results", str(results), "--study", "quickstart"]) == 0
    assert "Composition" not in capsys.readouterr().out
    assert main(["report", "--results", str(results), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    assert main(["figures", "--results", str(results), "--out", str(tmp_path / "figures")]) == 0
    assert {"vbench2.csv", "vbench2.pdf"} <= {path.name for path in (tmp_path / "figures").iterdir()}
