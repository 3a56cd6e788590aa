"""Each run in a process of its own: whatever happens to it, the caller gets an `Outcome` and goes on.

A fork server imports the heavy packages once; every run is forked from it with nothing of an earlier run inside, so
peak memory and crashes stay where they belong. The parent turns an exception, an exhausted memory, a crash, a hang or
a kill into a status and one line. The child's prints go to the run's log. If the parent dies, by whatever signal, its
child follows at once.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bench.memory_limit import LOOK_EVERY_S, MemoryWatch, OverLimit

PRELOAD = ("torch", "flash_vaed", "bench.run")
LOG_TAIL_LINES = 20
GRACE_S = 5.0  # for a finished child to leave

Message = Mapping[str, Any]
Emit = Callable[[Message], None]
Target = Callable[[Any, Emit], Any]

_ASKING = threading.Lock()  # how a child ended can be read once: two threads must not try

_OUT_OF_MEMORY = (
    "out of memory", "can't allocate memory", "cannot allocate memory", "failed to allocate", "unable to allocate",
    "status_alloc_failed",
)  # fmt: skip
_CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")


@dataclass(frozen=True)
class Outcome:
    """How a call ended. status: ok, error (an exception), oom, crashed (the process died) or timeout.

    value: what the target returned when ok. error: one line when not. log_tail: the last lines the child printed.
    """

    status: str
    value: Any
    error: str | None
    wall_s: float
    log_tail: str


def call(
    target: Target,
    job: Any,
    *,
    log_path: Path,
    timeout_s: float,
    on_message: Callable[[Message], None],
    memory_bytes: int | None = None,
) -> Outcome:
    """Run `target(job, emit)` in a fresh process and wait for it; `emit(message)` reaches `on_message` here.

    `target` is a module-level function; `job` and the value it returns must be picklable. memory_bytes: host memory
    that the process and all it starts may hold.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    log_path.write_bytes(b"")
    start_s, kills = time.monotonic(), _memory_kills()
    status, value, error = "crashed", None, ""
    with _Child(target, job, log_path) as child:
        try:
            status, value, error = child.listen(start_s + timeout_s, on_message, memory_bytes)
        except OverLimit as over:
            status, error = "oom", str(over)
            child.kill()
        except TimeoutError:
            status, error = "timeout", f"stopped after limits.timeout_s={timeout_s:g} s"
            child.kill()
    if status == "crashed":
        status, error = _explain_death(child.exit_code, _memory_kills() > kills)
    return Outcome(status, value, error or None, time.monotonic() - start_s, _tail(log_path))


def start_server() -> None:
    """Start the fork server now, if there is none yet: the first run need not wait for it."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOAD))
    forkserver.ensure_running()


class _Child:
    """The process of one run, its two pipes, and its end: leaving the `with` block leaves no process behind."""

    def __init__(self, target: Target, job: Any, log_path: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        start_server()
        self.receiver, sender = context.Pipe(duplex=False)
        lifeline, self._held = context.Pipe(duplex=False)  # never written: it closes when this process dies
        self.process: BaseProcess = context.Process(
            target=_child_main, args=(target, job, sender, lifeline, str(log_path))
        )
        with _ASKING:
            self.process.start()
        sender.close()
        lifeline.close()
        self.exit_code: int | None = None

    def __enter__(self) -> _Child:
        return self

    def listen(
        self, deadline_s: float, on_message: Callable[[Message], None], memory_bytes: int | None
    ) -> tuple[str, Any, str]:
        """Pass messages on until the child reports its end: (status, value, error). Raises `TimeoutError` at the
        deadline and `OverLimit` above the memory limit.
        """
        assert self.process.pid is not None
        memory = MemoryWatch(self.process.pid, memory_bytes)
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            ready = wait([self.receiver, self.process.sentinel], min(left_s, LOOK_EVERY_S))
            memory.look()
            if not ready and time.monotonic() < deadline_s:
                continue
            if not ready:
                raise TimeoutError
            if self.receiver not in ready and not self.receiver.poll():
                return "crashed", None, ""
            try:
                kind, content = self.receiver.recv()
            except (EOFError, OSError):
                return "crashed", None, ""
            if kind == "end":
                return content
            on_message(content)

    def __exit__(self, *exc_info: object) -> None:
        if not wait([self.process.sentinel], GRACE_S if exc_info[0] is None else 0):
            self.kill()
            wait([self.process.sentinel])
        with _ASKING:
            self.process.join()
            self.exit_code = self.process.exitcode
        self.receiver.close()
        self._held.close()

    def kill(self) -> None:
        """End the child and everything it started: it leads a process group of its own."""
        pid = self.process.pid
        assert pid is not None
        for end in (os.killpg, os.kill):
            try:
                end(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # not yet a group leader, or already gone


def _child_main(target: Target, job: Any, sender: Connection, lifeline: Connection, log_path: str) -> None:
    """Body of the child: own process group, output to the log, then the target; the end is always reported."""
    os.setpgid(0, 0)
    _die_first()
    _print_to(log_path)
    faulthandler.enable()
    threading.Thread(target=_follow_parent, args=(lifeline,), daemon=True).start()
    try:
        value = target(job, lambda message: sender.send(("message", message)))
        sender.send(("end", ("ok", value, "")))
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        sender.send(("end", (_status_of(error), None, one_line(error))))


def _die_first() -> None:
    """Where memory runs out, let the kernel end this process and not the sweep that is to record it."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _print_to(log_path: str) -> None:
    """Send standard output and error to the log, C code and child processes included."""
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)


def _follow_parent(lifeline: Connection) -> None:
    """Wait for the pipe to close, which happens when the parent is gone; then end this process group."""
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)


def _status_of(error: BaseException) -> str:
    text = str(error).lower()
    return "oom" if isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY) else "error"


def one_line(error: BaseException) -> str:
    """An exception as one line of at most 300 characters; a `ValueError` speaks for itself."""
    text = " ".join(str(error).split())
    if not isinstance(error, ValueError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text[:300]


def _explain_death(exit_code: int | None, memory_kill: bool) -> tuple[str, str]:
    """Status and sentence for a child that ended without a word."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        if memory_kill and -exit_code == signal.SIGKILL:
            return "oom", "the system ran out of memory and killed the process"
        return "crashed", f"the process was ended by {name}"
    return "crashed", f"the process ended without a result, exit code {exit_code}"


def _memory_kills() -> int:
    """How many processes of this container the kernel has killed for memory; 0 where that is not told."""
    try:
        counts = dict(line.split() for line in _CGROUP_EVENTS.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counts.get("oom_kill", 0))


def _tail(log_path: Path) -> str:
    """The last lines of a log."""
    lines = log_path.read_text(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:])
