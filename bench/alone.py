"""One owner for a run: of two sweeps on one folder the second waits, and then finds the run stored.

The lock is the kernel's own and ends with its owner, however that dies, so nothing stale is ever left to remove.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system without file locks: two sweeps there may do a run twice, and store it once
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def alone(lock_path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold `lock_path` inside the block; `waiting()` is called once if somebody else holds it now.

    A folder that cannot be written is a `ValueError`.
    """
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        handle = lock_path.open("ab")
    except OSError as error:
        raise ValueError(
            f"cannot write logs into {lock_path.parent}: {error.strerror}; set paths.logs=FOLDER"
        ) from error
    with handle:
        if fcntl is not None:
            _lock(handle.fileno(), waiting)
        yield


def _lock(descriptor: int, waiting: Callable[[], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        return  # a file system without locks
