"""Kernels of ours: in C++ for CPUs (`cpu`), in Triton for GPUs. The latter are imported only where Triton is there."""

from __future__ import annotations

import functools
import importlib.util

from torch import Tensor


@functools.lru_cache(maxsize=1)
def has_triton() -> bool:
    """Whether Triton can be imported; on a GPU it comes with torch."""
    return importlib.util.find_spec("triton") is not None


def runs_triton(x: Tensor) -> bool:
    """Whether a kernel can take this tensor: it is on a GPU and holds something."""
    return x.device.type == "cuda" and x.numel() > 0 and has_triton()
