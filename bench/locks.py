"""One process at a time, on all machines that share a folder.

The lock is the file system's own (`flock`): it ends with the process that holds it, however that ends. Where a file
system has none, nobody is held up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock that the file `path` stands for; the file stays, empty."""
    lock = FileLock(path)
    with contextlib.suppress(OSError, NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
