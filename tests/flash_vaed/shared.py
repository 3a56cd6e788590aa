"""Real clips, latents and damaged files, which are not part of this repository: a folder `shared` beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"


def shared(name: str) -> Path:
    """A file of that folder; the test is skipped, with the reason, where it is not there."""
    file = SHARED / name
    if not file.is_file():
        pytest.skip(f"{name} is not in ../shared")
    return file
