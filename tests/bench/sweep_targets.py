"""What a run does in the tests of sweeps: one number, or a failure that the seed chooses."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from bench import isolate
from bench.records import measurement
from bench.sweep import Job, sequential
from tests.bench.examples import request


def measure(job: Job, emit: Any) -> dict[str, Any]:
    emit({"step": "measuring"})
    value = float(job.spec.seed)
    row = measurement(
        job.run_id, "student", "psnr", value, unit="dB", higher_is_better=True, against="source", clip="x"
    )
    return {"rows": [row], "warnings": ["a warning"]}


def measure_slowly(job: Job, emit: Any) -> dict[str, Any]:
    time.sleep(0.05)
    return measure(job, emit)


def fail_on_odd_seeds(job: Job, emit: Any) -> dict[str, Any]:
    """Seed 1 raises, 3 dies, 5 hangs, 7 runs out of memory; even seeds measure."""
    print("before", flush=True)
    if job.spec.seed == 1:
        raise ValueError("seed one is not wanted")
    if job.spec.seed == 3:
        os._exit(139)
    if job.spec.seed == 5:
        time.sleep(600)
    if job.spec.seed == 7:
        raise MemoryError
    return measure(job, emit)


def hold_on_odd_seeds(job: Job, emit: Any) -> dict[str, Any]:
    """Odd seeds keep 2 GB for a moment."""
    held = b"x" * (2_000_000_000 if job.spec.seed % 2 else 0)
    time.sleep(1.0)
    return measure(job, emit) if not held else {"rows": [], "warnings": []}


def sweep(folder: str, count: int) -> None:
    """A sweep of `count` short runs, to be killed from outside."""
    isolate.PRELOAD = ("tests.bench.sweep_targets",)  # type: ignore[assignment]
    requests = [request(Path(folder), seed) for seed in range(count)]
    for done in sequential(requests, lambda request, message: None, measure_slowly):
        print(done.status, flush=True)


if __name__ == "__main__":
    sweep(sys.argv[1], int(sys.argv[2]))
