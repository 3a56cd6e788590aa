"""A sweep records what fails, goes on, repeats nothing, and survives being killed at any moment."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import isolate, records
from bench.sweep import STORED, sequential
from tests.bench import sweep_targets as targets
from tests.bench.examples import request

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def light_fork_server(monkeypatch):
    """These runs need no torch; a server started by an earlier test does no harm."""
    monkeypatch.setattr(isolate, "PRELOAD", ("tests.bench.sweep_targets",))


def run(requests, target, messages=None):
    heard = [] if messages is None else messages
    return list(sequential(requests, lambda request, message: heard.append(message), target))


def test_failures_become_rows_and_the_others_go_on(tmp_path):
    requests = [request(tmp_path, seed, timeout_s=2.0 if seed == 5 else 60.0) for seed in (0, 1, 3, 5, 7, 8)]
    done = run(requests, targets.fail_on_odd_seeds)
    expected = ["ok", "error", "crashed", "timeout", "oom", "ok"]
    assert [d.status for d in done] == expected
    assert [d.failed for d in done] == [False, True, True, True, True, False]
    runs, measurements, problems = records.read(tmp_path / "results")
    assert not problems
    rows = runs.set_index("run_id")
    assert [rows["status"][d.run_id] for d in done] == expected
    assert "seed one is not wanted" in rows["error"][done[1].run_id]
    assert "log: before" in json.loads(rows["warnings_json"][done[2].run_id])
    assert "a warning" in json.loads(rows["warnings_json"][done[0].run_id])
    assert sorted(measurements["value"]) == [0.0, 8.0]


def test_a_stored_run_is_skipped_a_failed_one_repeated_and_again_repeats_all(tmp_path):
    requests = [request(tmp_path, seed) for seed in (0, 1)]
    run(requests, targets.fail_on_odd_seeds)
    second = run(requests, targets.measure)
    assert [d.status for d in second] == [STORED, "ok"]
    assert [d.status for d in run(requests, targets.measure)] == [STORED, STORED]
    assert [d.status for d in run([request(tmp_path, 0, again=True)], targets.measure)] == ["ok"]
    assert len(records.read(tmp_path / "results")[0]) == 2


def test_a_failed_repeat_does_not_replace_a_finished_run(tmp_path):
    run([request(tmp_path, 1)], targets.measure)
    assert run([request(tmp_path, 1, again=True)], targets.fail_on_odd_seeds)[0].status == "error"
    assert list(records.read(tmp_path / "results")[0]["status"]) == ["ok"]


def test_results_at_an_address_are_stored_and_recognised_there(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    address = f"memory://{tmp_path.name}/results"
    requests = [dataclasses.replace(request(tmp_path, seed), results=address) for seed in (0, 1)]
    assert [d.status for d in run(requests, targets.fail_on_odd_seeds)] == ["ok", "error"]
    assert [d.status for d in run(requests, targets.measure)] == [STORED, "ok"]
    runs, measurements, problems = records.read(address)
    assert (len(runs), problems) == (2, [])
    assert sorted(measurements["value"]) == [0.0, 1.0]
    assert not (tmp_path / "results").exists()


def test_the_row_says_what_was_asked_where_and_by_what(tmp_path):
    asked, messages = request(tmp_path), []
    done = run([asked], targets.measure, messages)[0]
    row = records.read(tmp_path / "results")[0].iloc[0]
    assert (row["study"], row["label"], row["command"]) == (asked.spec.study, asked.label, asked.command)
    assert json.loads(row["spec_json"]) == asked.spec.to_json()
    assert row["protocol_id"] == asked.spec.protocol_id()
    assert row["run_id"] == done.run_id
    assert done.run_id == asked.spec.run_id(row["device_id"])
    assert json.loads(row["device_json"])["cores"] >= 1
    assert "torch" in json.loads(row["packages_json"])
    assert messages == [{"step": "measuring"}]


def test_a_results_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(ValueError, match="results"):
        run([request(tmp_path)], targets.measure)


@pytest.mark.parametrize("moment", range(4))
def test_a_sweep_killed_at_a_random_moment_resumes_and_repeats_nothing(tmp_path, moment):
    generator = random.Random(moment)
    count, kept = 12, {}
    for _attempt in range(2):
        sweep = _start(tmp_path, count)
        for _ in range(generator.randrange(1, 4)):
            sweep.stdout.readline()
        time.sleep(generator.uniform(0.0, 0.12))
        sweep.send_signal(signal.SIGKILL)
        sweep.wait()
        finished = _finished(tmp_path)
        assert kept.items() <= finished.items(), "a finished run was touched"
        kept = finished
    assert 1 <= len(kept) < count
    sweep = _start(tmp_path, count)
    statuses = sweep.communicate(timeout=60)[0].split()
    assert sorted(statuses) == sorted([STORED] * len(kept) + ["ok"] * (count - len(kept)))
    runs, measurements, problems = records.read(tmp_path / "results")
    assert not problems
    assert len(runs) == count
    assert runs["run_id"].is_unique
    assert sorted(measurements["value"]) == list(range(count))
    assert kept.items() <= _finished(tmp_path).items()


def _start(folder: Path, count: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.bench.sweep_targets", str(folder), str(count)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def _finished(folder: Path) -> dict[str, int]:
    """Finished runs and when their file was written."""
    results = folder / "results"
    return {
        run_id: (results / "runs" / f"{run_id}.parquet").stat().st_mtime_ns for run_id in records.stored_runs(results)
    }


def test_the_sweep_needs_no_torch():
    code = "import sys, bench.sweep; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
