"""Jobs in a queue: every run once, whoever dies; a job that is sent away goes on where it stood.

The same tests run against submitit's local jobs, and against SLURM where one answers (docs/scale.md makes one).
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench import records
from bench.launchers import LAUNCHERS
from bench.launchers import slurm as module
from bench.sweep import STORED, SUBMITTED
from tests.bench import examples
from tests.bench.launchers import targets
from tests.bench.sweep_targets import fail_on_odd_seeds

pytest.importorskip("submitit")
ROOT = Path(__file__).resolve().parents[3]


def has_slurm() -> bool:
    if shutil.which("sinfo") is None:
        return False
    return subprocess.run(["sinfo"], capture_output=True, timeout=20, check=False).returncode == 0


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.skipif(not has_slurm(), reason="no SLURM"))])
def cluster(request):
    return request.param


@pytest.fixture
def launch(cluster, tmp_path):
    """Launches runs; `wait=False` submits only."""

    def run(requests, target=targets.note, heard=None, **options):
        heard = [] if heard is None else heard
        return list(launcher(tmp_path, cluster, **options).launch(requests, lambda *said: heard.append(said), target))

    return run


def launcher(folder, cluster, **options):
    options = {"gpus_per_run": 0, "cpus_per_run": 1, "timeout_min": 5, "poll_s": 0.3, **options}
    return LAUNCHERS.get("slurm")(cluster=cluster, folder=str(folder / "slurm"), **options)


def request(folder, seed=0, **options):
    return examples.request(folder, seed, **options)


def jobs(folder):
    """Ids of the jobs by their tickets, and the runs they came to."""
    return sorted(tuple(json.loads(path.read_text()).values()) for path in (folder / "slurm" / "tickets").iterdir())


def wait_for(condition, seconds=60.0):
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "still not so"
        time.sleep(0.05)


def hasten(job_id):
    """SLURM lets a job that went back into the queue wait there for two minutes; it may be told not to."""

    def state():
        asked = ["squeue", "--noheader", "--array", "--format=%T", f"--jobs={job_id}"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    wait_for(lambda: state() == "PENDING")
    subprocess.run(["scontrol", "update", f"JobId={job_id}", "StartTime=now"], check=True)


def process_of(folder, seed=0):
    """The process that waits for the run of a seed: the job itself."""
    pid = int(next(pid for of, pid, *_ in targets.notes(folder) if of == str(seed)))
    return next(parent for parent in psutil.Process(pid).parents() if "submitit.core._submit" in parent.cmdline())


def test_every_run_is_a_job_is_done_once_and_not_submitted_again(cluster, launch, tmp_path):
    requests, heard = [request(tmp_path, seed) for seed in range(3)], []
    done = launch(requests, heard=heard)
    assert sorted(d.request.label for d in done) == ["seed 0", "seed 1", "seed 2"]
    assert {d.status for d in done} == {"ok"}
    assert {d.request for d in done} == set(requests), "the request comes back as it was given"
    assert len(records.read(tmp_path / "results")[0]) == 3
    assert {threads for _, _, threads, _ in targets.notes(tmp_path)} == {"1"}
    ids = jobs(tmp_path)
    assert {run_id for _, run_id in ids} == {d.run_id for d in done}
    assert any("running" in message["step"] for _, message in heard)
    if cluster == "slurm":
        assert len({job_id.split("_")[0] for job_id, _ in ids}) == 1, "one array"
    assert {d.status for d in launch(requests)} == {STORED}
    assert jobs(tmp_path) == ids
    assert len(targets.notes(tmp_path)) == 3
    assert {d.status for d in launch([request(tmp_path, 0, again=True)])} == {"ok"}
    assert len(targets.notes(tmp_path)) == 4


def test_a_job_told_to_leave_goes_back_into_the_queue_and_goes_on(cluster, launch, tmp_path):
    """What a preemption and a time limit do: SIGUSR2, to every process of the job."""
    assert launch([request(tmp_path)], targets.count_on, wait=False)[0].status == SUBMITTED
    wait_for(lambda: len(targets.notes(tmp_path)) > 5)
    job = process_of(tmp_path)
    for process in job.children(recursive=True):
        process.send_signal(signal.SIGUSR2)
    time.sleep(0.3)  # nobody says in which order they are told
    job.send_signal(signal.SIGUSR2)
    if cluster == "slurm":
        hasten(jobs(tmp_path)[0][0])
    done = launch([request(tmp_path)], targets.count_on)
    went_on(tmp_path, done)


def test_a_job_requeued_by_hand_goes_on(cluster, launch, tmp_path):
    if cluster == "local":
        pytest.skip("there is no queue to ask")
    launch([request(tmp_path, 1), request(tmp_path)], targets.count_on, wait=False)
    wait_for(lambda: sum(of == "0" for of, *_ in targets.notes(tmp_path)) > 5)
    (job_id,) = {json.loads(p.read_text())["job_id"] for p in (tmp_path / "slurm" / "tickets").iterdir()
                 if json.loads(p.read_text())["job_id"].endswith("_1")}  # fmt: skip
    subprocess.run(["scontrol", "requeue", job_id], check=True)
    hasten(job_id)
    done = launch([request(tmp_path), request(tmp_path, 1)], targets.count_on)
    assert len(done) == 2
    went_on(tmp_path, [d for d in done if d.request.spec.seed == 0], rows=2)


def went_on(folder, done, rows=1):
    """Seed 0 was done by two processes, the second of which began where the first had been."""
    assert [d.status for d in done] == ["ok"]
    noted = [(int(pid), int(step)) for of, pid, step in targets.notes(folder) if of == "0"]
    first = [step for pid, step in noted if pid == noted[0][0]]
    second = [step for pid, step in noted if pid == noted[-1][0]]
    assert noted[0][0] != noted[-1][0]
    assert len(first) + len(second) == len(noted), "two processes, not more"
    assert first == list(range(len(first)))
    assert second[0] in (first[-1], first[-1] + 1)
    assert second[-1] == 39
    runs, _, problems = records.read(folder / "results")
    assert (list(runs["status"]), problems) == (["ok"] * rows, [])


def test_a_command_that_dies_loses_nothing_and_the_next_one_collects(cluster, launch, tmp_path):
    command = [sys.executable, "-m", "tests.bench.launchers.test_slurm", str(tmp_path), cluster]
    sweep = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    wait_for(lambda: (tmp_path / "slurm" / "tickets").is_dir() and len(jobs(tmp_path)) == 2)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    ids = [job_id for job_id, _ in jobs(tmp_path)]
    done = launch([request(tmp_path, seed) for seed in range(2)], targets.count_on)
    assert [d.status for d in done] == ["ok", "ok"]
    assert [job_id for job_id, _ in jobs(tmp_path)] == ids, "nothing was submitted twice"
    assert len(targets.notes(tmp_path)) == 80


def test_a_job_that_vanishes_is_a_failure_and_is_submitted_again_next_time(cluster, launch, tmp_path, monkeypatch):
    launch([request(tmp_path)], targets.count_on, wait=False)
    wait_for(lambda: len(targets.notes(tmp_path)) > 2)
    pid = int(targets.notes(tmp_path)[0][1])
    if cluster == "slurm":
        subprocess.run(["scancel", jobs(tmp_path)[0][0]], check=True)
    else:
        job = process_of(tmp_path)
        for process in (job.parent(), job):
            process.kill()
    monkeypatch.setattr(module, "GONE_S", 1.0)
    (done,) = launch([request(tmp_path, again=True)], targets.count_on)  # again: collect what there is, do not skip
    if done.failed:  # the job was still in the queue when this command looked
        assert "without a result" in done.error
        (done,) = launch([request(tmp_path)], targets.count_on)
    assert done.status == "ok"
    wait_for(lambda: not psutil.pid_exists(pid))
    assert len(records.read(tmp_path / "results")[0]) == 1


def test_a_job_lost_while_waiting_is_a_failure_of_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GONE_S", 0.5)

    class Lost:
        job_id = "7"
        paths = type("Paths", (), {"result_pickle": tmp_path / "absent", "stderr": tmp_path / "log"})

    one = launcher(tmp_path, "slurm", poll_s=0.05)
    monkeypatch.setattr(module.Slurm, "_states", lambda self, jobs: {})
    tickets = module.Tickets(tmp_path, "")
    start_s = time.monotonic()
    (done,) = one._collect({Lost(): request(tmp_path)}, tickets, lambda *said: None)
    assert done.failed
    assert "job 7 left the queue without a result" in done.error
    assert time.monotonic() - start_s >= 0.5, "a result may be on its way"
    assert tickets.of(request(tmp_path)) == module.Ticket("7", "")


def test_a_queue_that_does_not_answer_is_asked_again(tmp_path, monkeypatch):
    one = launcher(tmp_path, "slurm")
    job = type("Job", (), {"job_id": "7_1"})()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert one._states([job]) == {job: "unknown"}
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 7_1 RUNNING; echo 7_2 PENDING\n")
    (tmp_path / "squeue").chmod(0o755)
    assert one._states([job]) == {job: "RUNNING"}


def test_failed_runs_are_rows_and_the_next_command_repeats_them_alone(launch, tmp_path):
    requests = [request(tmp_path, seed) for seed in (0, 1)]
    assert sorted(d.status for d in launch(requests, fail_on_odd_seeds)) == ["error", "ok"]
    assert sorted(records.read(tmp_path / "results")[0]["status"]) == ["error", "ok"]
    assert sorted(d.status for d in launch(requests)) == ["ok", STORED]
    assert [seed for seed, *_ in targets.notes(tmp_path)] == ["1"]


def test_an_impossible_run_is_told_with_the_cause(launch, tmp_path):
    """A device that the node does not have: the job ends by an exception, there is no row, and the reason is told."""
    (done,) = launch([dataclasses.replace(request(tmp_path), device="cuda")])
    assert done.failed
    assert "torch finds no CUDA device" in done.error


def test_an_option_that_is_none_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"launcher\.sbatch='gres' is not NAME=VALUE"):
        list(launcher(tmp_path, "local", sbatch=("gres",)).launch([request(tmp_path)], lambda *said: None))


def test_no_slurm_here_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"launcher=slurm: .*srun") as caught:
        list(launcher(tmp_path, "slurm").launch([request(tmp_path)], lambda *said: None))
    assert "\n" not in str(caught.value)


if __name__ == "__main__":
    where, kind = Path(sys.argv[1]), sys.argv[2]
    os.environ["PYTHONPATH"] = str(ROOT)
    asked = [request(where, seed) for seed in range(2)]
    list(launcher(where, kind).launch(asked, lambda *said: None, targets.count_on))
