"""How much host memory a run holds and may hold: it is ended by name before the system ends whatever it likes.

Counted is what the run's process, and every process it started, has written: private and shared pages. Packages and
files that are mapped do not count, for the kernel takes those back. A limit on address space (RLIMIT_AS) would be of
no use: torch and CUDA reserve far more than they touch. Linux only; elsewhere nothing is counted and nothing ended.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LOOK_EVERY_S = 0.25  # four looks of some file reads each second leave timings alone
SHARE = 0.9  # of the memory that is there, where no limit is given

_COUNTED = ("RssAnon:", "RssShmem:")
_CONTAINER = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class OverLimit(Exception):
    """A run holds more memory than it may; the message is one line for its row."""


class MemoryWatch:
    """Looks now and then at the process `pid` and all it started; `limit_bytes` None looks away."""

    def __init__(self, pid: int, limit_bytes: int | None) -> None:
        self.pid, self.limit_bytes = pid, limit_bytes
        self._next_s = 0.0

    def look(self) -> None:
        """`OverLimit` when more than the limit is held; does nothing if it looked a moment ago."""
        if self.limit_bytes is None or time.monotonic() < self._next_s:
            return
        held = held_bytes(self.pid)
        if held > self.limit_bytes:
            raise OverLimit(
                f"stopped at {held / 1e9:.2f} GB of host memory, limits.memory_gb allows {self.limit_bytes / 1e9:.2f}"
            )
        self._next_s = time.monotonic() + LOOK_EVERY_S


def allowed_bytes(memory_gb: float | None) -> int | None:
    """The limit in bytes: what was asked for (1 GB is 1e9 bytes), else `SHARE` of the machine's or container's memory.

    None, for no limit, where infinity was asked for or the memory is not known; `ValueError` for a limit that is not
    positive.
    """
    if memory_gb == math.inf:
        return None
    if memory_gb is not None:
        if not memory_gb > 0:
            raise ValueError(f"limits.memory_gb is a positive number of gigabytes or null, not {memory_gb:g}")
        return int(memory_gb * 1e9)
    try:
        sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (ValueError, OSError):
        return None
    for file in _CONTAINER:
        try:
            sizes.append(int(file.read_text()))
        except (OSError, ValueError):  # absent, or "max"
            continue
    return int(SHARE * min(sizes))


def held_bytes(pid: int) -> int:
    """Bytes that `pid` and its descendants have written to memory; 0 for who is gone."""
    return sum(_written_bytes(member) for member in _family(pid))


def _family(pid: int) -> Iterator[int]:
    """`pid` and every process that descends from it."""
    yield pid
    with suppress(OSError):  # a process or a thread that ends while it is looked at
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from _family(int(child))


def _written_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(_COUNTED))
