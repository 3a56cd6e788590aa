"""Which convolutions on a CPU go to oneDNN by hand, past PyTorch's own choice.

PyTorch gives a single float32 clip of few channels to its own slow convolution, by a rule that was made for images.
oneDNN is five to fourteen times faster there, and keeps clips that lie channels last in memory as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

_portable = False


def is_small_clip(x_NCTHW: Tensor) -> bool:
    """Whether PyTorch would give this CPU tensor to its own convolution: one clip of N*C*T*H <= 20480."""
    small = len(x_NCTHW) == 1 and x_NCTHW.shape[:4].numel() <= 20480
    plain = x_NCTHW.device.type == "cpu" and x_NCTHW.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    return small and plain and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()


def is_traced_for_cpu(x_NCTHW: Tensor) -> bool:
    """Whether a graph for this machine's CPU is being recorded, in which a convolution may be an operator of ours."""
    tracing = torch.compiler.is_compiling() and not _portable
    return tracing and x_NCTHW.device.type == "cpu" and torch.backends.mkldnn.is_available()


@contextmanager
def portable_graphs() -> Iterator[None]:
    """Within it, recorded graphs hold PyTorch's own operators only, for readers elsewhere."""
    global _portable
    _portable, before = True, _portable
    try:
        yield
    finally:
        _portable = before


@torch.library.custom_op("flash_vaed::onednn_convolution", mutates_args=())
def traced_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, padding: Sequence[int], groups: int) -> Tensor:
    """`torch.mkldnn_convolution` of stride 1 as an operator that compilers can look past: it tells the output's shape
    and order in memory.
    """
    return torch.mkldnn_convolution(x, weight, bias, padding, (1, 1, 1), (1, 1, 1), groups)


@traced_convolution.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, padding: Sequence[int], groups: int) -> Tensor:
    sizes = [size + 2 * pad - taps + 1 for size, pad, taps in zip(x.shape[2:], padding, weight.shape[2:], strict=True)]
    channels_last = any(
        tensor.is_contiguous(memory_format=torch.channels_last_3d) and not tensor.is_contiguous()
        for tensor in (x, weight)
    )
    order = torch.channels_last_3d if channels_last else torch.contiguous_format
    return torch.empty((len(x), len(weight), *sizes), dtype=x.dtype, device=x.device, memory_format=order)
