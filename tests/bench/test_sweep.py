"""A sweep records what fails, goes on and repeats nothing. (Killed at any moment: `tests/faults/test_kill.py`.)"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from dataclasses import replace
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


@pytest.mark.faults
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


@pytest.mark.faults
def test_a_folder_for_logs_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot write logs into .*; set paths.logs=FOLDER"):
        run([replace(request(tmp_path), logs=str(tmp_path / "file" / "logs"))], targets.fail_on_odd_seeds)


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="memory of a process is read from /proc")
def test_a_run_that_takes_too_much_memory_is_a_row_and_is_tried_once(tmp_path):
    requests = [replace(request(tmp_path, seed), memory_gb=1.5) for seed in (0, 1, 2)]
    messages: list = []
    assert [d.status for d in run(requests, targets.hold_on_odd_seeds, messages)] == ["ok", "oom", "ok"]
    rows = records.read(tmp_path / "results")[0].set_index("label")
    assert "limits.memory_gb allows 1.50" in rows["error"]["seed 1"]
    assert len(messages) == 2, "who ran out of memory was started again"


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


def test_the_sweep_needs_no_torch():
    code = "import sys, bench.sweep; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
