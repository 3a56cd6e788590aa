"""Many runs, one after the other: what is stored is skipped, what fails is recorded, what is finished is never lost.

`perform` does one run wherever it is called and stores its rows; `sequential` calls it for one request after the
other. What else hands requests out, to this machine or to others, is in `bench/launchers`. No torch on this side.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench import isolate, records
from bench.device import Device, detect, git_state, package_versions, visible_gpu, warnings_for
from bench.isolate import Message, Outcome
from bench.job import Job, Places
from bench.locks import alone
from bench.memory_limit import allowed_bytes
from bench.paths import ROOT
from bench.spec import RunSpec

STORED = "stored"  # beside the statuses of the runs table: a run that was not repeated
SUBMITTED = "submitted"  # a run that waits in a queue, or is under way there


@dataclass(frozen=True)
class RunRequest:
    """One run, ready for any machine: what to measure, what to call it, where to put it. `command` repeats it alone.

    results: a folder, or an address such as s3://bucket/results. gpu: which of the machine's, where a launcher hands
    them out. beside: how many other runs the launcher may have under way on the same machine.
    """

    label: str
    spec: RunSpec
    command: str
    results: str
    places: Places
    logs: str
    timeout_s: float
    device: str
    threads: int | None
    again: bool
    processes: int = 1
    snapshot_s: float = 300.0
    memory_gb: float | None = None
    gpu: int | None = None
    beside: int = 0


@dataclass(frozen=True)
class Done:
    """How one request ended: a status of the runs table, `STORED` or `SUBMITTED`, and where the child's output lies.

    run_id: "" where no word came back from the machine that did it.
    """

    request: RunRequest
    run_id: str
    status: str
    error: str | None
    wall_s: float
    log_path: str

    @property
    def failed(self) -> bool:
        return self.status not in ("ok", STORED, SUBMITTED)


Watch = Callable[[RunRequest, Message], None]
Target = Callable[[Job, isolate.Emit], dict[str, Any]]


def execute(job: Job, emit: isolate.Emit) -> dict[str, Any]:
    """The run itself, in its own process; imported there, because this side needs no torch."""
    if job.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_gpu(job.gpu)  # nothing has asked for a GPU in this process yet
    from bench import run

    return run.execute(job, emit)


def sequential(requests: Iterable[RunRequest], watch: Watch, target: Target = execute) -> Iterator[Done]:
    """One run after the other on this machine."""
    for request in requests:
        yield perform(request, watch, target)


def perform(
    request: RunRequest,
    watch: Watch,
    target: Target = execute,
    before_storing: Callable[[Outcome], None] = lambda outcome: None,
) -> Done:
    """Do one run in a process of its own and store its rows, whatever happened; a run stored as ok is left alone.

    target: what the process does (the run itself). before_storing: sees how it ended; what it raises leaves the run
    unstored. Another sweep that does the same run is waited for. `ValueError` for an absent device or a folder that
    cannot be written.
    """
    device = detect(request.device, request.threads, request.gpu or 0)
    run_id = request.spec.run_id(device.device_id)
    log_path = Path(request.logs) / f"{run_id}.log"
    with alone(_lock(log_path), lambda: watch(request, {"step": "waits: another sweep does this run"})):
        return _perform(request, watch, target, before_storing, device, run_id, log_path)


def _lock(log_path: Path) -> Path:
    """The file that stands for the run; a `ValueError` where logs cannot be written."""
    path = log_path.with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        reason = f"cannot write logs into {path.parent}: {error.strerror}; set paths.logs=FOLDER"
        raise ValueError(reason) from error
    return path


def _perform(
    request: RunRequest, watch: Watch, target: Target, before_storing: Callable[[Outcome], None], device: Device,
    run_id: str, log_path: Path,
) -> Done:  # fmt: skip
    if not request.again and records.is_stored(request.results, run_id):
        return Done(request, run_id, STORED, None, 0.0, str(log_path))
    records.check_folder(request.results)
    started = datetime.now(timezone.utc)
    job = Job(
        run_id,
        request.spec,
        request.places,
        device.kind,
        device.facts["threads"],
        request.processes,
        request.snapshot_s,
        request.gpu,
    )
    outcome = isolate.call(
        target, job, log_path=log_path, timeout_s=request.timeout_s, on_message=functools.partial(watch, request),
        memory_bytes=allowed_bytes(request.memory_gb),
    )  # fmt: skip
    before_storing(outcome)
    found = outcome.value or {"rows": [], "warnings": []}
    row = _run_row(request, run_id, device, outcome, started, found["warnings"])
    records.write_run(request.results, row, found["rows"])
    return Done(request, run_id, outcome.status, outcome.error, outcome.wall_s, str(log_path))


def _run_row(
    request: RunRequest, run_id: str, device: Device, outcome: Outcome, started: datetime, warnings: list[str]
) -> dict[str, Any]:
    """The row of the runs table: what was asked, on what, by which code, and how it ended."""
    sha, dirty = _git()
    log = [f"log: {line}" for line in outcome.log_tail.splitlines() if outcome.error]
    others = [f"up to {request.beside} other runs of its sweep shared this machine"] if request.beside else []
    return {
        "run_id": run_id,
        "study": request.spec.study,
        "label": request.label,
        "status": outcome.status,
        "error": outcome.error,
        "started_at": started.isoformat(timespec="seconds"),
        "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "wall_s": outcome.wall_s,
        "protocol_id": request.spec.protocol_id(),
        "spec_json": request.spec.canonical(),
        "command": request.command,
        "device_id": device.device_id,
        "device_name": device.name,
        "device_json": json.dumps(device.facts),
        "git_sha": sha,
        "git_dirty": dirty,
        "packages_json": json.dumps(_packages()),
        "warnings_json": json.dumps([*warnings_for(device), *others, *warnings, *log]),
    }


@functools.lru_cache(maxsize=1)
def _packages() -> dict[str, str]:
    return package_versions()


@functools.lru_cache(maxsize=1)
def _git() -> tuple[str, bool | None]:
    return git_state(ROOT)
