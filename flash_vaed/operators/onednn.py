"""Which convolutions on a CPU go to oneDNN by hand, past PyTorch's own choice.

PyTorch gives a single float32 clip of few channels to its own slow convolution, by a rule that was made for images.
oneDNN is five to fourteen times faster there, and keeps clips that lie channels last in memory as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

# of a clip, a kernel, a bias, the zeros around time, rows and columns, and how many groups
Convolution = Callable[[Tensor, Tensor, "Tensor | None", tuple[int, int, int], int], Tensor]

_recorded: Convolution | None = None


def is_small_clip(x_NCTHW: Tensor) -> bool:
    """Whether PyTorch would give this CPU tensor to its own convolution: one clip of N*C*T*H <= 20480."""
    small = len(x_NCTHW) == 1 and x_NCTHW.shape[:4].numel() <= 20480
    plain = x_NCTHW.device.type == "cpu" and x_NCTHW.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    return small and plain and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()


@contextmanager
def recorded_as(convolution: Convolution) -> Iterator[None]:
    """Within it, every convolution is this one: for graphs that are being recorded for a certain machine."""
    global _recorded
    _recorded, before = convolution, _recorded
    try:
        yield
    finally:
        _recorded = before


def recorded_convolution() -> Convolution | None:
    """The convolution of the graph that is being recorded, if one was named."""
    return _recorded
