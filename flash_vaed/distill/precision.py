"""Mixed precision: networks compute in few bits where that is fast and safe, losses and weights stay in float32."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

PRECISIONS = ("float32", "bfloat16")


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """The context in which a network computes in `precision`, one of `PRECISIONS`."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def widened(x: Tensor) -> Tensor:
    """Numbers of fewer than 32 bits as float32."""
    return x.float() if x.element_size() < 4 else x
