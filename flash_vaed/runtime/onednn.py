"""oneDNN's convolution as an operator for compilers: it tells its output's shape and order in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flash_vaed.memory_format import is_channels_last


def onednn_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, padding: Sequence[int], groups: int) -> Tensor:
    """`torch.mkldnn_convolution` of stride 1; PyTorch's own has no description for compilers."""
    made: Tensor = torch.ops.flash_vaed.onednn_convolution(x, weight, bias, padding, groups)
    return made


# defined by hand: what `torch.library.custom_op` puts around each call takes longer than a small convolution
_NAME = "flash_vaed::onednn_convolution"
torch.library.define(_NAME, "(Tensor x, Tensor weight, Tensor? bias, int[] padding, int groups) -> Tensor")


@torch.library.impl(_NAME, "CPU")
def _(x: Tensor, weight: Tensor, bias: Tensor | None, padding: Sequence[int], groups: int) -> Tensor:
    return torch.mkldnn_convolution(x, weight, bias, padding, (1, 1, 1), (1, 1, 1), groups)


@torch.library.register_fake(_NAME)
def _(x: Tensor, weight: Tensor, bias: Tensor | None, padding: Sequence[int], groups: int) -> Tensor:
    sizes = [size + 2 * pad - taps + 1 for size, pad, taps in zip(x.shape[2:], padding, weight.shape[2:], strict=True)]
    last = is_channels_last(x) or is_channels_last(weight)
    order = torch.channels_last_3d if last else torch.contiguous_format
    return torch.empty((len(x), len(weight), *sizes), dtype=x.dtype, device=x.device, memory_format=order)
