"""The estimate is the mean of a study's finished runs on one kind of machine, times its points; the unknown is said."""

from __future__ import annotations

import pytest

from bench import records
from bench.__main__ import main
from bench.study import study_points
from bench.verbs.cost import cost_of, render
from tests.synthetic_results import make_run, store


@pytest.fixture
def folder(tmp_path):
    def of(run_id, wall_s, device_id="cpu-a", **options):
        row, rows = make_run(run_id, device_id=device_id, study="pruning_ratio", **options)
        return {**row, "wall_s": wall_s}, rows

    few = [of("a", 100.0), of("b", 300.0), of("c", 9999.0, status="error", error="x"), of("d", 7.0, "cuda-b")]
    return store(tmp_path, *few)


def test_the_machine_with_most_runs_speaks_for_the_study(folder):
    cost = cost_of("pruning_ratio", records.read(folder)[0])
    points = len(study_points(["ablations=pruning_ratio"])[1])
    assert (cost.points, cost.stored, cost.seconds, cost.machine) == (points, 2, 200.0, "Device cpu-a")
    assert cost.hours == pytest.approx(points * 200 / 3600)


def test_what_was_never_run_is_counted_and_not_guessed(folder):
    runs = records.read(folder)[0]
    text = render([cost_of(name, runs) for name in ("pruning_ratio", "quickstart")])
    assert "about 0.4 hours for 7 points on Device cpu-a, one at a time" in text
    assert "no stored run tells of 13 points of 1 studies" in text


def test_the_verb_prints_every_study(folder, capsys):
    assert main(["cost", "--results", str(folder)]) == 0
    assert "\nspeed_gpu " in capsys.readouterr().out
    assert main(["cost", "--results", str(folder), "--study", "nosuch"]) == 2
    assert "unknown study 'nosuch'" in capsys.readouterr().err
