"""A clip's order in memory: by channels (N C T H W), or channels last (N T H W C), which convolutions read faster.

PyTorch's own operations keep the order they are given; the helpers here do where one of ours rearranges pixels.

Legend: N batch, C channels, T frames, H W pixels; f frames that lie in groups of channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}  # of weights for images, and for clips


def is_channels_last(x_NCTHW: Tensor) -> bool:
    """Whether a clip lies channels last in memory, and by channels not as well."""
    return x_NCTHW.is_contiguous(memory_format=torch.channels_last_3d) and not x_NCTHW.is_contiguous()


def order_of(x_NCTHW: Tensor) -> torch.memory_format:
    """The memory format of a clip, for tensors that are to join it."""
    return torch.channels_last_3d if is_channels_last(x_NCTHW) else torch.contiguous_format


def put_channels_last(module: nn.Module) -> None:
    """Convolution weights of a module, of images and of clips, channels last in memory; values stay."""
    for parameter in module.parameters():
        if parameter.ndim in _LAST:
            parameter.data = parameter.data.contiguous(memory_format=_LAST[parameter.ndim])


def weights_order(module: nn.Module) -> torch.memory_format:
    """The order that `put_channels_last` gave, or not, to a module's weights."""
    last = any(
        weight.is_contiguous(memory_format=_LAST[weight.ndim]) and not weight.is_contiguous()
        for weight in module.parameters()
        if weight.ndim in _LAST
    )
    return torch.channels_last_3d if last else torch.contiguous_format


def ordered(x: Tensor, order: torch.memory_format) -> Tensor:
    """A clip in this order in memory; what is no clip as it is."""
    return x.contiguous(memory_format=order) if x.ndim == 5 else x


def in_time(*clips: Tensor) -> Tensor:
    """Clips one after another, in the last one's order in memory. Of those that lie channels last, frames are joined as
    rows: a compiler has to guess the order of joined clips, and mistakes it.
    """
    if is_channels_last(clips[-1]):
        rows = torch.cat([x_NCTHW.permute(0, 2, 3, 4, 1).flatten(2) for x_NCTHW in clips], dim=1)
        C, _, H, W = clips[-1].shape[1:]
        return rows.unflatten(2, (H, W, C)).permute(0, 4, 1, 2, 3)
    return torch.cat(clips, dim=2)


def deal_frames(x_NCTHW: Tensor, count: int) -> Tensor:
    """(N, count * C, T, H, W) -> (N, C, T * count, H, W): groups of channels become frames that follow each other."""
    N, channels, T, H, W = x_NCTHW.shape
    C = channels // count
    if is_channels_last(x_NCTHW):
        frames = x_NCTHW.permute(0, 2, 3, 4, 1).view(N, T, H, W, count, C).permute(0, 1, 4, 2, 3, 5)
        return frames.reshape(N, T * count, H, W, C).contiguous().permute(0, 4, 1, 2, 3)
    return x_NCTHW.view(N, count, C, T, H, W).permute(0, 2, 3, 1, 4, 5).reshape(N, C, T * count, H, W)
