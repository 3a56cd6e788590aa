"""What a generation gains: by whole samples, by its parts, and at most."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from bench.analysis import Results, end_to_end
from bench.records import measurement
from tests.synthetic_results import make_run

PARTS = {"own": (10.0, 30.0, 50.0, 10.0), "student": (10.0, 30.0, 10.0, 10.0)}


def results(task: str = "generate", whole_of_student: float = 60.0) -> Results:
    spec = {
        "task": task, "baseline": "own", "arms": {"own": {}, "student": {}},
        "host": {"name": "tiny_wan", "frames": 17},
    }  # fmt: skip
    rows = []
    for arm, parts in PARTS.items():
        for repeat in range(4):
            for name, value in zip(("text", "denoise", "decode", "write"), parts, strict=True):
                rows.append(measurement("r", arm, f"{name}_s", value, unit="s", higher_is_better=False, repeat=repeat))
            whole = sum(parts) if arm == "own" else whole_of_student
            rows.append(measurement("r", arm, "end_to_end_s", whole, unit="s", higher_is_better=False, repeat=repeat))
        for clip, value in (("a", 30.0), ("b", 40.0)):
            rows.append(measurement(
                "r", arm, "psnr", value, unit="dB", higher_is_better=True, against="own", clip=clip
            ))  # fmt: skip
        rows.append(measurement(
            "r", arm, "lpips", None, unit="1", higher_is_better=False, against="own", clip="a", note="no weights"
        ))  # fmt: skip
    run = {
        **make_run("r")[0],
        "spec_json": json.dumps(spec),
        "study": "end_to_end",
        "label": "tiny-wan",
        "status": "ok",
    }
    return Results(pd.DataFrame([run]), pd.DataFrame(rows), [])


def test_speed_ups_by_the_whole_by_the_parts_and_at_most():
    table = end_to_end.table(results()).set_index("arm")
    student = table.loc["student"]
    assert student["speedup"] == pytest.approx(100 / 60)
    assert student["amdahl"] == pytest.approx(100 / 60)
    assert student["amdahl_ceiling"] == pytest.approx(2.0)
    assert student["decode_share"] == pytest.approx(10 / 60)
    assert table.loc["own", "decode_share"] == pytest.approx(0.5)
    assert table.loc["own", "speedup"] == 1.0
    assert student["psnr"] == 35.0
    assert student["videos"] == 2


def test_what_lies_between_the_parts_shows_in_the_whole_only():
    student = end_to_end.table(results(whole_of_student=80.0)).set_index("arm").loc["student"]
    assert student["speedup"] == pytest.approx(100 / 80)
    assert student["amdahl"] == pytest.approx(100 / 60)


def test_the_text_names_what_is_missing_and_leaves_out_empty_columns():
    text = end_to_end.render_text(results())
    assert "by tiny_wan" in text
    assert "no weights" in text
    assert "LPIPS" not in text
    assert "1.67" in text


def test_other_tasks_are_left_out():
    assert end_to_end.table(results(task="speed")).empty
    assert end_to_end.render_text(results(task="speed")) == ""
