"""Which convolutions on a GPU are something else, where that is quicker: matrix products, and images instead of clips.

Only for clips that lie channels last, where neither moves a number. On an H200 in 16 bit a pointwise mix of 384
channels is 2.6 times faster as a matrix product, and a 3x3 convolution of 96 or 192 channels 1.2 times as one of
images.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from flash_vaed.memory_format import is_channels_last

EVEN = 8  # cuDNN's kernels for images are slow where the channels are no multiple of it


def mixes_channels(x_NCTHW: Tensor, weight_OIthw: Tensor, groups: int) -> bool:
    """Whether this is a pointwise mix on a GPU."""
    return _applies(x_NCTHW, groups) and weight_OIthw.shape[2:].numel() == 1


def takes_images(x_NCTHW: Tensor, weight_OIthw: Tensor, groups: int) -> bool:
    """Whether this is a 3x3 convolution per frame on a GPU."""
    even = all(channels % EVEN == 0 for channels in weight_OIthw.shape[:2])
    return _applies(x_NCTHW, groups) and tuple(weight_OIthw.shape[2:]) == (1, 3, 3) and even


def mixed(x_NCTHW: Tensor, weight_OI111: Tensor, bias_O: Tensor | None) -> Tensor:
    """A pointwise mix as a matrix product."""
    return F.linear(x_NCTHW.permute(0, 2, 3, 4, 1), weight_OI111.flatten(1), bias_O).permute(0, 4, 1, 2, 3)


def convolved_images(x_NCTHW: Tensor, weight_OI1hw: Tensor, bias_O: Tensor | None) -> Tensor:
    """A 3x3 convolution per frame, zeros around, with the frames as images."""
    N, _, T = x_NCTHW.shape[:3]
    images = x_NCTHW.permute(0, 2, 1, 3, 4).flatten(0, 1)
    return F.conv2d(images, weight_OI1hw.squeeze(2), bias_O, padding=1).unflatten(0, (N, T)).permute(0, 2, 1, 3, 4)


def _applies(x_NCTHW: Tensor, groups: int) -> bool:
    return x_NCTHW.device.type == "cuda" and groups == 1 and is_channels_last(x_NCTHW)
