"""From results on disk to tables and stored rows; the total agrees with VBench's formula and needs all of it."""

from __future__ import annotations

import json
import sys

import pytest

from bench.__main__ import main
from bench.analysis import load
from bench.vbench2.dimensions import CATEGORIES, DIMENSIONS
from bench.vbench2.plan import write_plan
from tests.bench.vbench2.fake import make_root, make_videos, plan_of


@pytest.fixture(name="evaluated")
def _evaluated(tmp_path, capsys):
    root = make_root(tmp_path / "root")
    plan = plan_of(root)
    write_plan(plan, tmp_path / "plan.json")
    make_videos(tmp_path / "videos", plan, "student", "teacher")
    given = {"root": root, "plan": tmp_path / "plan.json", "videos": tmp_path / "videos", "out": tmp_path / "out"}
    asked = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    assert main(["vbench2", "run", *asked, "--python", sys.executable]) == 0
    capsys.readouterr()
    return tmp_path


def aggregate(place, *more):
    return main(["vbench2", "aggregate", "--plan", str(place / "plan.json"), "--out", str(place / "out"), *more])


def test_what_was_evaluated_becomes_a_table_and_rows(evaluated, capsys):
    stored = ["--control", "teacher", "--results", str(evaluated / "results")]
    assert aggregate(evaluated, *stored) == 0
    shown = capsys.readouterr()
    assert "student: 3 of 18 dimensions, no total" in shown.out
    assert "stored as run" in shown.err
    results = load(evaluated / "results")
    assert list(results.runs["study"]) == ["vbench2"]
    rows = results.measurements
    assert set(rows["metric"]) == {"vbench2_Diversity", "vbench2_Human_Identity", "vbench2_Camera_Motion"}
    assert len(rows) == 2 * (1 + 9 + 6)
    spec = json.loads(results.runs["spec_json"][0])
    assert spec["task"] == "vbench2"
    assert spec["vbench2"]["arms"] == ["student", "teacher"]
    assert spec["vbench2"]["commit"] == "unknown"
    assert aggregate(evaluated, *stored) == 0  # again: the same run
    assert len(load(evaluated / "results").runs) == 1


def test_a_stored_run_does_not_lose_values(evaluated, capsys):
    stored = ["--control", "teacher", "--results", str(evaluated / "results")]
    assert aggregate(evaluated, *stored) == 0
    for path in (evaluated / "out" / "student" / "results" / "Human_Identity").glob("*.json"):
        path.unlink()
    assert aggregate(evaluated, *stored) == 2
    assert "9 values of this run that are missing here" in capsys.readouterr().err
    assert len(load(evaluated / "results").measurements) == 32


def test_a_damaged_result_is_left_out_by_name(evaluated, capsys):
    path = next((evaluated / "out" / "student" / "results" / "Human_Identity").glob("*_eval_results.json"))
    path.write_text(path.read_text()[:-20])
    assert aggregate(evaluated, "--json") == 1
    shown = capsys.readouterr()
    assert "left out: student, Human_Identity" in shown.err
    document = json.loads(shown.out)
    assert len(document["problems"]) == 1
    assert document["complete"] is False


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--control", "other"], "no arm 'other' in"),
        (["--arm", "other"], "no arm 'other'"),
        (["--out", "/nowhere"], "does not exist"),
    ],
)
def test_a_mistake_is_one_line(more, words, evaluated, capsys):
    assert aggregate(evaluated, *more) == 2
    assert words in capsys.readouterr().err


def test_the_full_list_has_a_total_that_is_the_official_formula(tmp_path, capsys):
    """All 18 dimensions with their official counts, results as somebody else's run leaves them."""
    prompts = {key: [f"{key} prompt {i}" for i in range(row.prompts)] for key, row in DIMENSIONS.items()}
    plan = plan_of(make_root(tmp_path / "root", prompts), prompts="short")
    assert plan.complete
    write_plan(plan, tmp_path / "plan.json")
    expected = {}
    for number, key in enumerate(DIMENSIONS):
        names = plan.judged(key)
        values = [(7 * i + number) % 10 / 10 for i in range(len(names))]
        expected[key] = sum(values) / len(values)
        folder = tmp_path / "out" / "teacher" / "results" / key / "model"
        folder.mkdir(parents=True)
        found = [{"video_path": f"v/{name}", "video_results": v} for name, v in zip(names, values, strict=True)]
        (folder / "r_eval_results.json").write_text(json.dumps({key: [expected[key], found]}))
    official = {category: sum(expected[key] for key in keys) / len(keys) for category, keys in CATEGORIES.items()}
    assert aggregate(tmp_path, "--json") == 0
    rows = {row["name"]: row["score"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert {name: rows[name] for name in official} == pytest.approx(official)
    assert rows["total"] == pytest.approx(sum(0.2 * value for value in official.values()))
    next((tmp_path / "out" / "teacher" / "results" / "Material" / "model").iterdir()).unlink()
    assert aggregate(tmp_path, "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["total"]["score"] is None
    assert (rows["total"]["present"], rows["total"]["of"]) == (17, 18)
    assert rows["Physics"]["score"] is None
