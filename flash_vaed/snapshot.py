"""Training state on disk, written so that a kill at any moment leaves the previous one readable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from flash_vaed.whole_file import whole_file


def save_snapshot(path: Path, state: dict[str, Any]) -> None:
    """A reader sees the old snapshot or the new one, never half of either. Several processes may write one: each writes
    a file of its own, and the last one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        torch.save(state, partial)


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
