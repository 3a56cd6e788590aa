"""Two sweeps on one folder: each run is done once, both end well, nothing is torn."""

from __future__ import annotations

import pytest

from bench import records
from bench.sweep import STORED
from tests.faults.examples import trivial_sweep

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("sweeps", [2, 8])
def test_sweeps_on_one_folder_do_every_run_once(tmp_path, sweeps):
    count = 8
    under_way = [trivial_sweep(tmp_path, count) for _ in range(sweeps)]
    ended = [sweep.communicate(timeout=120) for sweep in under_way]
    assert [sweep.returncode for sweep in under_way] == [0] * sweeps, ended
    statuses = [said.split() for said, _ in ended]
    assert all(set(found) <= {"ok", STORED} and len(found) == count for found in statuses)
    assert sum(found.count("ok") for found in statuses) == count, "a run was done twice"
    runs, measurements, problems = records.read(tmp_path / "results")
    assert problems == []
    assert sorted(runs["label"]) == [f"seed {seed}" for seed in range(count)]
    assert sorted(measurements["value"]) == list(range(count))
    assert not list(tmp_path.rglob("*.partial"))
