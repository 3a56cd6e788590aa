"""One dimension of one arm in VBench's own interpreter: a process group that a timeout ends, its output in a log."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TAIL_LINES = 3
TAIL_LETTERS = 300
_KILL_WITH_PARENT = 1  # Linux, prctl: PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Ended:
    """How a process ended. reason: None when it left with code 0, else one line with the end of its log."""

    reason: str | None
    wall_s: float


def run_logged(command: list[str], folder: Path, log: Path, timeout_s: float) -> Ended:
    """Run `command` in `folder`, its output to `log`; after `timeout_s` seconds it and all it started are killed.

    On Linux the command also ends when this process does, by whatever signal. Our own PYTHONPATH is not handed on.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    log.parent.mkdir(parents=True, exist_ok=True)
    start_s = time.monotonic()
    with log.open("wb") as stream:
        try:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                env={**environment, "PYTHONUNBUFFERED": "1"}, start_new_session=True, preexec_fn=_follow_parent,
            )  # fmt: skip
        except OSError as error:
            return Ended(f"cannot start {command[0]}: {error.strerror or error}", 0.0)
        try:
            code = process.wait(timeout_s)
            reason = None if code == 0 else f"{_describe(code)}{_tail(log)}"
        except subprocess.TimeoutExpired:
            reason = f"stopped after --timeout-s {timeout_s:g}{_tail(log)}"
        finally:
            _end_group(process)
    return Ended(reason, time.monotonic() - start_s)


def _follow_parent() -> None:
    """In the child: die with the process that started it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_KILL_WITH_PARENT, signal.SIGKILL)


def _end_group(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it has left
        os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own: its number is its group's
    process.wait()


def _describe(code: int) -> str:
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _tail(log: Path) -> str:
    """The log's last lines as the end of a sentence, with what they mean where that is known."""
    lines = [" ".join(line.split()) for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if not lines:
        return ", nothing logged"
    known = next((f" ({what})" for sign, what in _KNOWN.items() if sign in "\n".join(lines[-30:])), "")
    return f"{known}; log: {' | '.join(lines[-TAIL_LINES:])[-TAIL_LETTERS:]}"


MMCV = "set mmcv_maximum_version to 2.3.0 in the installed mmdet/__init__.py and mmyolo/__init__.py"
_KNOWN = {
    "ZeroDivisionError": "VBench divides by the number of valid videos: every one was invalid",
    "No active exception to reraise": "VBench did not find a video that it wants",
    "is used but incompatible": MMCV,
    "cannot import name 'write_video'": "this torchvision has no write_video: VBench-2.0 wants torchvision 0.20.1",
    "out of memory": "out of memory",
    "OutOfMemoryError": "out of memory",
}
