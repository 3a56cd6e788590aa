"""Files that appear whole or not at all: written under a temporary name, renamed at the end."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

STALE_S = 3600.0  # a temporary file that nobody has written to for so long belongs to a killed process


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path`, with its suffix; takes the place of `path` when the block ends without error, and
    is on the disk then. What killed writers of `path` left is taken away.

    A missing folder is a `ValueError`.
    """
    file = Path(path)
    if not file.parent.is_dir():
        raise ValueError(f"no folder {file.parent} to write {file.name} into")
    _sweep(file)
    partial = file.with_name(f".{file.stem}.{uuid.uuid4().hex[:12]}.partial{file.suffix}")
    try:
        yield partial
        _to_disk(partial)
        partial.replace(file)
        if os.name == "posix":  # the new name too must survive a power cut; elsewhere folders cannot be opened
            _to_disk(file.parent)
    finally:
        partial.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(file: Path) -> None:
    for partial in file.parent.glob(f".{escape(file.stem)}.*.partial{escape(file.suffix)}"):
        with suppress(OSError):  # gone already, or somebody else's
            if time.time() - partial.stat().st_mtime > STALE_S:
                partial.unlink()
