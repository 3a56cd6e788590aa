"""One process at a time, on all machines that share a folder.

The lock is the file system's own (`flock`): it ends with the process that holds it, however that ends, so nothing stale
is ever left to remove. Where a file system has none, nobody is held up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout


@contextlib.contextmanager
def alone(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold the lock that the file `path` stands for; the file stays, empty. `waiting()` is called once if somebody else
    holds it now.
    """
    lock = FileLock(path)
    with contextlib.suppress(OSError, NotImplementedError):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            waiting()
            lock.acquire()
    try:
        yield
    finally:
        lock.release()
