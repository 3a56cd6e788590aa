"""Nearest-neighbour x2 and a 3x3 convolution as four 2x2 convolutions on the small frames.

Per axis an output pixel of phase 0 sees the small pixels i - 1 and i, one of phase 1 sees i and i + 1: where two taps
of the kernel fall on one small pixel they add up. Zeros around the small frame are zeros around the large one, so
borders are exact. 16 multiplications a channel pair instead of 36, and the enlarged tensor is never written. Sub-pixel
convolution: Shi et al., arXiv 1609.05158.

Legend: N batch, C channels, T frames, H W pixels of the small frames; O output, I input channels; p q the phase of an
output pixel; a b taps of a small kernel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flash_vaed.families import taehv, wan
from flash_vaed.memory_format import deal_frames, is_channels_last
from flash_vaed.operators import Hop
from flash_vaed.operators.base import convolve
from flash_vaed.runtime.rewrites.base import REWRITES, everywhere
from flash_vaed.state import Stream

# taps[phase][a] = which of the three taps along an axis fall on the small pixel i + phase - 1 + a
_TAPS = torch.tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])


def phase_kernels(weight_OI33: Tensor) -> Tensor:
    """The kernels of the four phases: (2, 2, O, I, 2, 2), indexed p, q, o, i, a, b; float64."""
    taps = _TAPS.double().to(weight_OI33.device)
    return torch.einsum("pak,qbl,oikl->pqoiab", taps, taps, weight_OI33.double())


def assemble(grid: Tensor, frames: int = 1) -> Tensor:
    """Frames (N, O, T * frames, 2H, 2W) from a grid (N, frames * 4 * O, T, H + 1, W + 1), channels ordered f, p, q, o.

    The grid is what phase kernels give on frames padded by one pixel; phase p reads its rows from p on.
    """
    N, channels, T, rows, columns = grid.shape
    H, W, O = rows - 1, columns - 1, channels // (4 * frames)  # noqa: E741
    split = (frames, 2, 2, O)
    if is_channels_last(grid):
        kept = grid.permute(0, 2, 3, 4, 1).unflatten(-1, split)  # (N, T, H + 1, W + 1, f, p, q, O)
        phases = [[kept[:, :, p : p + H, q : q + W, :, p, q] for q in (0, 1)] for p in (0, 1)]
        lines = [torch.stack([x.permute(0, 1, 4, 2, 3, 5) for x in row], dim=-2) for row in phases]
        pixels = torch.stack(lines, dim=4)  # (N, T, f, H, p, W, q, O)
        return pixels.reshape(N, T * frames, 2 * H, 2 * W, O).permute(0, 4, 1, 2, 3)
    kept = grid.unflatten(1, split)
    phases = [[kept[:, :, p, q, :, :, p : p + H, q : q + W] for q in (0, 1)] for p in (0, 1)]  # (N, f, O, T, H, W)
    lines = [torch.stack(row, dim=-1) for row in phases]
    pixels = torch.stack(lines, dim=-3)  # (N, f, O, T, H, p, W, q)
    return pixels.permute(0, 2, 3, 1, 4, 5, 6, 7).reshape(N, O, T * frames, 2 * H, 2 * W)


class SubpixelConv(nn.Module):
    """(N, I, T, H, W) -> (N, O, T, 2H, 2W)."""

    def __init__(self, weight_OI33: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        kernels = phase_kernels(weight_OI33).flatten(0, 2).to(weight_OI33.dtype)
        self.weight = nn.Parameter(kernels.unsqueeze(2), requires_grad=False)
        self.bias = None if bias_O is None else nn.Parameter(bias_O.detach().repeat(4), requires_grad=False)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        return assemble(convolve(x_NCTHW, self.weight, self.bias))

    def sight(self) -> tuple[Hop, ...]:
        return Hop(margin=1), Hop(scale=2)


class WanUpsampler(nn.Module):
    """`wan.Upsampler` with its last two steps in one."""

    def __init__(self, upsampler: wan.Upsampler) -> None:
        super().__init__()
        self.time_conv = upsampler.time_conv
        self.conv = SubpixelConv(upsampler.conv.weight, upsampler.conv.bias)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return self.conv(x_NCTHW if self.time_conv is None else self.time_conv(x_NCTHW, stream))

    def sight(self) -> tuple[Hop, ...]:
        return self.conv.sight()


class TaehvUpsampler(nn.Module):
    """`taehv.Upsampler`, the 1x1 convolution before the pixels are doubled: it does not look at neighbours."""

    def __init__(self, upsampler: taehv.Upsampler) -> None:
        super().__init__()
        self.frames, self.grow = upsampler.frames, upsampler.grow
        self.conv = SubpixelConv(upsampler.conv.weight, None)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        return self.conv(deal_frames(self.grow(x_NCTHW), self.frames))

    def sight(self) -> tuple[Hop, ...]:
        return self.conv.sight()


@REWRITES.register("subpixel")
@everywhere
def subpixel(module: nn.Module) -> nn.Module | None:
    """Every upsampler by nearest neighbour of the Wan and TAEHV families; LTX-Video shuffles pixels and has none."""
    if isinstance(module, wan.Upsampler):
        return WanUpsampler(module)
    return TaehvUpsampler(module) if isinstance(module, taehv.Upsampler) else None
