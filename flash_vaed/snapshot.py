"""Training state on disk, written so that a kill at any moment leaves the previous one readable."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

import torch

STALE_PARTIAL_S = 3600.0  # a partial file older than this belongs to a killed process


def save_snapshot(path: Path, state: dict[str, Any]) -> None:
    """Write beside, flush to disk, rename: a reader sees the old snapshot or the new one, never half of either.

    Several processes may write one snapshot: each writes a file of its own, and the last rename wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.partial"):
        if time.time() - left.stat().st_mtime > STALE_PARTIAL_S:
            left.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_snapshot(path: Path) -> dict[str, Any] | None:
    """The stored state, or None where there is none. Anything but a snapshot is a `ValueError`; no code is run."""
    if not path.is_file():
        return None
    try:
        state = torch.load(path, weights_only=True)
    except Exception as error:  # on a damaged file the reader raises whatever it trips over
        raise ValueError(f"{path} is not a readable snapshot; delete it to start over") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} is not a snapshot but a {type(state).__name__}; delete it to start over")
    return state
