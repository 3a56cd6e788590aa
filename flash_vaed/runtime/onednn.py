"""oneDNN's convolution as an operator for compilers: it tells its output's shape and order in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flash_vaed.memory_format import is_channels_last


@torch.library.custom_op("flash_vaed::onednn_convolution", mutates_args=())
def onednn_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, padding: Sequence[int], groups: int) -> Tensor:
    """`torch.mkldnn_convolution` of stride 1; PyTorch's own has no description for compilers."""
    return torch.mkldnn_convolution(x, weight, bias, padding, (1, 1, 1), (1, 1, 1), groups)


@onednn_convolution.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, padding: Sequence[int], groups: int) -> Tensor:
    sizes = [size + 2 * pad - taps + 1 for size, pad, taps in zip(x.shape[2:], padding, weight.shape[2:], strict=True)]
    last = is_channels_last(x) or is_channels_last(weight)
    order = torch.channels_last_3d if last else torch.contiguous_format
    return torch.empty((len(x), len(weight), *sizes), dtype=x.dtype, device=x.device, memory_format=order)
