"""Runs side by side on one machine: each alone in its process, told as it ends, none twice, and all die together."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from bench import records
from bench.device import usable_cores
from bench.launchers import LAUNCHERS
from bench.launchers import joblib as module
from bench.sweep import STORED
from tests.bench import examples
from tests.bench.launchers import targets
from tests.bench.sweep_targets import fail_on_odd_seeds

pytest.importorskip("joblib")
ROOT = Path(__file__).resolve().parents[3]


def request(folder: Path, seed: int = 0, threads: int | None = 1, **options):
    return dataclasses.replace(examples.request(folder, seed, **options), threads=threads)


def launch(requests, target=targets.note, heard=None, **options):
    heard = [] if heard is None else heard
    launcher = LAUNCHERS.get("joblib")(**options)
    return list(launcher.launch(requests, lambda request, message: heard.append((request.label, message)), target))


@pytest.fixture(autouse=True)
def _many_cores(monkeypatch):
    """The launcher counts cores only to refuse what does not fit; these runs do nothing."""
    monkeypatch.setattr(module, "usable_cores", lambda: 8)


def test_every_run_is_done_once_and_its_messages_are_heard(tmp_path):
    heard = []
    done = launch([request(tmp_path, seed) for seed in range(9)], n_jobs=3, heard=heard)
    assert sorted(d.request.label for d in done) == [f"seed {seed}" for seed in range(9)]
    assert {d.status for d in done} == {"ok"}
    assert sorted(label for label, _ in heard) == sorted(d.request.label for d in done)
    runs, measurements, problems = records.read(tmp_path / "results")
    assert (len(runs), problems) == (9, [])
    assert sorted(measurements["value"]) == list(range(9))
    assert len({pid for _, pid, *_ in targets.notes(tmp_path)}) == 9, "a run shared a process with another"


def test_several_runs_are_under_way_at_once(tmp_path):
    launch([request(tmp_path, 99)])  # the fork server is warm now
    start_s = time.monotonic()
    launch([request(tmp_path, seed) for seed in range(6)], targets.note_slowly, n_jobs=6)
    assert time.monotonic() - start_s < 6 * 0.4


def test_failures_of_every_kind_are_rows_of_their_own_run(tmp_path):
    requests = [request(tmp_path, seed, timeout_s=2.0 if seed == 5 else 60.0) for seed in (0, 1, 3, 5, 7, 8)]
    done = {d.request.spec.seed: d for d in launch(requests, fail_on_odd_seeds, n_jobs=4)}
    assert {seed: d.status for seed, d in done.items()} == {
        0: "ok", 1: "error", 3: "crashed", 5: "timeout", 7: "oom", 8: "ok",
    }  # fmt: skip
    assert "exit code 139" in done[3].error
    assert len(records.read(tmp_path / "results")[0]) == 6


def test_how_a_crowd_of_children_ended_is_never_mixed_up(tmp_path, monkeypatch):
    """Starting a child asks how the others ended; of two threads that ask at once the second would be told 255."""
    read = forkserver.read_signed
    monkeypatch.setattr(forkserver, "read_signed", lambda pipe: time.sleep(0.02) or read(pipe))
    done = launch([request(tmp_path, seed) for seed in range(40)], targets.die_on_odd_seeds, n_jobs=8)
    crashed = [d for d in done if d.status == "crashed"]
    assert len(crashed) == 20
    assert {d.error for d in crashed} == {"the process ended without a result, exit code 139"}


def test_the_rows_say_that_others_ran_beside(tmp_path):
    launch([request(tmp_path)], n_jobs=4)
    warnings = json.loads(records.read(tmp_path / "results")[0].iloc[0]["warnings_json"])
    assert "up to 3 other runs of its sweep shared this machine" in warnings


def test_cores_are_divided_and_what_does_not_fit_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="n_jobs=3 runs of 3 threads do not fit into 8 cores"):
        launch([request(tmp_path, threads=3)], n_jobs=3)
    with pytest.raises(ValueError, match="n_jobs=2 runs at once cannot have one of 1 GPUs each"):
        launch([request(tmp_path)], n_jobs=2, gpus=1)
    monkeypatch.undo()
    cores = usable_cores()
    launch([request(tmp_path, threads=None)], n_jobs=cores)
    assert targets.notes(tmp_path)[0][2] == "1"


def test_every_run_under_way_has_a_gpu_of_its_own(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    launch([request(tmp_path, seed) for seed in range(6)], targets.note_as_a_run, n_jobs=2, gpus=2)
    assert {gpu for *_, gpu in targets.notes(tmp_path)} == {"0", "1"}


def test_stored_runs_are_not_repeated(tmp_path):
    requests = [request(tmp_path, seed) for seed in range(3)]
    launch(requests[:2])
    assert sorted(d.status for d in launch(requests)) == ["ok", STORED, STORED]


def test_a_killed_sweep_takes_its_runs_with_it_and_goes_on_later(tmp_path):
    command = [sys.executable, "-m", "tests.bench.launchers.test_joblib", str(tmp_path)]
    sweep = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert sweep.stdout is not None
    sweep.stdout.readline()  # one run has ended
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    time.sleep(1.5)  # a run that had lived on would have noted itself by now
    before = len(targets.notes(tmp_path))
    assert before < 12
    time.sleep(0.6)
    assert len(targets.notes(tmp_path)) == before
    kept = records.stored_runs(tmp_path / "results")
    assert kept
    done = launch([request(tmp_path, seed) for seed in range(12)], targets.note, n_jobs=4)
    assert {d.run_id for d in done if d.status == STORED} == kept
    assert len(records.read(tmp_path / "results")[0]) == 12


if __name__ == "__main__":
    from bench import isolate

    module.usable_cores = lambda: 8
    isolate.PRELOAD = ("tests.bench.launchers.targets",)
    requests = [request(Path(sys.argv[1]), seed) for seed in range(12)]
    for ended in LAUNCHERS.get("joblib")(n_jobs=2).launch(requests, lambda request, message: None, targets.note_slowly):
        print(ended.status, flush=True)
