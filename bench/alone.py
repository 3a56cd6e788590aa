"""One owner for a run: of two sweeps on one folder the second waits, and then finds the run stored.

The lock is the file system's and ends with its owner, however that dies, so nothing stale is ever left to remove. Where
the file system has none, two sweeps may do a run twice, and store it once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout


@contextlib.contextmanager
def alone(lock_path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold `lock_path` inside the block; `waiting()` is called once if somebody else holds it now.

    A folder that cannot be written is a `ValueError`.
    """
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock_path.touch()
    except OSError as error:
        reason = f"cannot write logs into {lock_path.parent}: {error.strerror}; set paths.logs=FOLDER"
        raise ValueError(reason) from error
    lock = FileLock(lock_path)
    with contextlib.suppress(OSError, NotImplementedError):  # no locks there
        try:
            lock.acquire(blocking=False)
        except Timeout:
            waiting()
            lock.acquire()
    try:
        yield
    finally:
        lock.release()
