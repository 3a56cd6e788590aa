"""Wan's time convolution, frame interleaving, nearest x2 and 3x3 convolution as one 3x2x2 convolution.

Nothing between them is non-linear. It pays where the last convolution gives few channels, as in a pruned stage: per
small pixel and incoming frame 96 I O multiplications instead of 6 I^2 + 32 I O behind the sub-pixel rewrite.

The time convolution's bias is seen through the 3x3 kernel and the zeros around the frame, so it becomes a map that
differs along the border. The clip's first frame skips the time convolution and keeps kernels of its own.

Legend: as in `subpixel`; f the frame of a pair, c input channels of the time convolution, k its taps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.families.wan import Upsampler
from flash_vaed.memory_format import in_time
from flash_vaed.operators import Hop
from flash_vaed.operators.base import convolve
from flash_vaed.runtime.rewrites.base import REWRITES, everywhere
from flash_vaed.runtime.rewrites.subpixel import SubpixelConv, assemble, phase_kernels
from flash_vaed.state import Stream


class ComposedUpsampler(nn.Module):
    """(N, I, T, H, W) -> (N, O, 2T, 2H, 2W), one frame fewer where the clip begins."""

    def __init__(self, upsampler: Upsampler) -> None:
        super().__init__()
        time_conv, conv = upsampler.time_conv, upsampler.conv
        assert time_conv is not None
        assert time_conv.bias is not None
        self.slot = time_conv.slot
        self.first = SubpixelConv(conv.weight, conv.bias)
        kernels = phase_kernels(conv.weight)  # (2, 2, O, I, 2, 2)
        taps = time_conv.weight.double().squeeze(-1).squeeze(-1).unflatten(0, (2, -1))  # (f, I, c, k)
        offsets = time_conv.bias.double().unflatten(0, (2, -1))  # (f, I)
        both = torch.einsum("pqoiab,fick->fpqockab", kernels, taps).flatten(0, 3)
        seen = torch.einsum("pqoiab,fi->fpqoab", kernels, offsets).flatten(0, 3).unsqueeze(1)
        dtype = conv.weight.dtype
        self.weight = nn.Parameter(both.to(dtype), requires_grad=False)  # (2 * 4 * O, c, 3, 2, 2)
        self.seen = nn.Parameter(seen.to(dtype), requires_grad=False)  # (2 * 4 * O, 1, 2, 2): the time bias, per tap
        self.bias = nn.Parameter(conv.bias.detach().repeat(8), requires_grad=False)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        skipped, rest = x_NCTHW[:, :, : int(stream.first)], x_NCTHW[:, :, int(stream.first) :]
        extended = stream.extend(self.slot, rest, 2)
        if rest.shape[2] == 0:
            return self.first(skipped)
        grid = convolve(extended, self.weight, None) + self._bias_map(rest)
        pairs = assemble(grid, frames=2)
        return in_time(self.first(skipped), pairs) if stream.first else pairs

    def _bias_map(self, x_NCTHW: Tensor) -> Tensor:
        """What both biases add to every position of the grid: (2 * 4 * O, 1, H + 1, W + 1)."""
        inside = x_NCTHW.new_ones(1, 1, *x_NCTHW.shape[3:])
        return F.conv2d(inside, self.seen, self.bias, padding=1).squeeze(0).unsqueeze(1)

    def sight(self) -> tuple[Hop, ...]:
        return self.first.sight()


@REWRITES.register("composed")
@everywhere
def composed(module: nn.Module) -> nn.Module | None:
    """Every temporal upsampler of the Wan family for which it means less work than the sub-pixel rewrite."""
    fits = isinstance(module, Upsampler) and module.time_conv is not None and _pays(module)
    return ComposedUpsampler(module) if fits else None  # type: ignore[arg-type]


def _pays(upsampler: Upsampler) -> bool:
    outputs, inputs = upsampler.conv.weight.shape[:2]
    return 96 * outputs < 6 * inputs + 32 * outputs
