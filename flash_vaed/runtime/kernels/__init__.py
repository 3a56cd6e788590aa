"""Kernels written in Triton, for GPUs. A module of this folder is imported only where Triton is installed."""

from __future__ import annotations

import importlib.util


def has_triton() -> bool:
    """Whether Triton can be imported; on a GPU it comes with torch."""
    return importlib.util.find_spec("triton") is not None
