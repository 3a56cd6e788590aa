"""What runs do in the tests of launchers; importable in any process, on any machine.

None of them needs torch: the jobs and workers that import this start their fork servers without it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from bench import isolate, sweep
from bench.job import Job
from tests.bench.sweep_targets import measure

if "pytest" not in sys.modules:
    isolate.PRELOAD = (__name__,)  # type: ignore[assignment]


def note(job: Job, emit: Any) -> dict[str, Any]:
    """Measure, and leave a line with the run's seed, process, threads and GPU in the cache folder."""
    facts = f"{job.spec.seed} {os.getpid()} {job.threads} {os.environ.get('CUDA_VISIBLE_DEVICES') or '-'}\n"
    _append(Path(job.places.cache) / "notes", facts)
    return measure(job, emit)


def note_slowly(job: Job, emit: Any) -> dict[str, Any]:
    time.sleep(0.4)
    return note(job, emit)


def note_begin_and_end(job: Job, emit: Any) -> dict[str, Any]:
    """A run of a second that notes when it begins and when it ends."""
    _append(Path(job.places.cache) / "notes", f"{job.spec.seed} {os.getpid()} begin\n")
    time.sleep(1.0)
    _append(Path(job.places.cache) / "notes", f"{job.spec.seed} {os.getpid()} end\n")
    return measure(job, emit)


def under_way(folder: Path) -> dict[str, int]:
    """Processes that have noted their beginning and not their end, by the seed of their run."""
    noted = notes(folder)
    ended = {pid for _, pid, word in noted if word == "end"}
    return {seed: int(pid) for seed, pid, word in noted if word == "begin" and pid not in ended}


def kill_the_worker_on_odd_seeds(job: Job, emit: Any) -> dict[str, Any]:
    """Kill the process that waits for this run, as an exhausted memory would."""
    if job.spec.seed % 2:
        note(job, emit)
        server = psutil.Process(os.getppid())
        os.kill(server.ppid(), signal.SIGKILL)
        time.sleep(600)
    return note(job, emit)


def note_as_a_run(job: Job, emit: Any) -> dict[str, Any]:
    """As the process of a real run begins, before anything of CUDA is asked for."""
    from bench import run

    run.execute = note_slowly
    return sweep.execute(job, emit)


def die_on_odd_seeds(job: Job, emit: Any) -> dict[str, Any]:
    if job.spec.seed % 2:
        os._exit(139)
    return measure(job, emit)


def count_on(job: Job, emit: Any) -> dict[str, Any]:
    """A training of 40 steps that keeps where it stands in a file, and notes every step it does."""
    cache = Path(job.places.cache)
    state = cache / f"state-{job.spec.seed}"
    for step in range(int(state.read_text()) if state.exists() else 0, 40):
        _append(cache / "notes", f"{job.spec.seed} {os.getpid()} {step}\n")
        state.write_text(str(step + 1))
        emit({"step": "counting", "done": step, "total": 40})
        time.sleep(0.1)
    return measure(job, emit)


def notes(folder: Path) -> list[list[str]]:
    """The words of every line that was left."""
    path = folder / "cache" / "notes"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(line)
