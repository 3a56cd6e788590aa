"""Files that appear whole or not at all: written under a temporary name, renamed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path`, with its suffix; takes the place of `path` when the block ends without error.

    A missing folder is a `ValueError`.
    """
    file = Path(path)
    if not file.parent.is_dir():
        raise ValueError(f"no folder {file.parent} to write {file.name} into")
    partial = file.with_name(f".{file.stem}.{os.getpid()}.partial{file.suffix}")
    try:
        yield partial
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
