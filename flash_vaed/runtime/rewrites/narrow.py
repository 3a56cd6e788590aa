"""Wan's residual blocks and head of few channels: on a GPU norm, SiLU and shortcut go into the convolutions.

Two kernels and one norm make a block, instead of two of each, the shortcut and a sum. Off a GPU, or without Triton,
the module computes as it did.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flash_vaed.families.blocks import Pointwise, ResidualBlock, unpatchify
from flash_vaed.families.wan import Head, RmsNorm
from flash_vaed.operators import Hop
from flash_vaed.operators.conv2d import Conv2d
from flash_vaed.runtime.kernels import runs_triton
from flash_vaed.runtime.rewrites.base import REWRITES, everywhere
from flash_vaed.state import Stream

WIDEST = 32  # channels, as the kernel says


class NarrowBlock(nn.Module):
    """`ResidualBlock` of two convolutions per frame."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        first, second, shortcut = block.conv1, block.conv2, block.shortcut
        assert isinstance(first, Conv2d)
        assert isinstance(second, Conv2d)
        self.slot, self.block = block.slot, block
        self.taps1, self.taps2 = _taps(first.weight.unsqueeze(2)), _taps(second.weight.unsqueeze(2))
        mix_OS, bias_O = torch.eye(second.out_channels).to(second.weight), second.bias.detach().clone()
        if isinstance(shortcut, Pointwise):
            mix_OS, bias_O = shortcut.weight.detach().flatten(1), bias_O + shortcut.bias.detach()
        self.mix_SO = nn.Parameter(mix_OS.T.contiguous(), requires_grad=False)
        self.bias = nn.Parameter(bias_O, requires_grad=False)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        block = self.block
        if not runs_triton(x_NCTHW):
            y: Tensor = block(x_NCTHW, stream)
            return y
        from flash_vaed.runtime.kernels.narrow import narrow_convolution

        inner = narrow_convolution(
            block.norm1.then_silu(x_NCTHW), self.taps1, block.conv1.bias, None, None, block.norm2.gamma
        )
        made: Tensor = narrow_convolution(inner, self.taps2, self.bias, x_NCTHW, self.mix_SO, None)
        return made

    def sight(self) -> tuple[Hop, ...]:
        return self.block.sight()


class NarrowHead(nn.Module):
    """`wan.Head`."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head, self.taps = head, _taps(head.conv.weight)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        head = self.head
        if not runs_triton(x_NCTHW):
            y: Tensor = head(x_NCTHW, stream)
            return y
        from flash_vaed.runtime.kernels.narrow import narrow_convolution

        extended = stream.extend(head.conv.slot, head.norm.then_silu(x_NCTHW), 2, head.conv.time)
        return unpatchify(narrow_convolution(extended, self.taps, head.conv.bias, None, None, None), head.patch)

    def sight(self) -> tuple[Hop, ...]:
        return self.head.sight()


def _taps(weight_OIthw: Tensor) -> nn.Parameter:
    taps = weight_OIthw.detach().permute(2, 3, 4, 1, 0).flatten(1, 3)  # (t, 9 I, O)
    return nn.Parameter(taps.contiguous(), requires_grad=False)


@REWRITES.register("narrow")
@everywhere
def narrow(module: nn.Module) -> nn.Module | None:
    """Every residual block of 2D convolutions and every head of the Wan family with at most 32 channels in and out."""
    if isinstance(module, ResidualBlock) and isinstance(module.norm1, RmsNorm):
        convolutions = (module.conv1, module.conv2)
        few = all(type(conv) is Conv2d and max(conv.weight.shape[:2]) <= WIDEST for conv in convolutions)
        return NarrowBlock(module) if few else None
    if isinstance(module, Head) and max(module.conv.weight.shape[:2]) <= WIDEST:
        return NarrowHead(module) if module.conv.time == "causal_zero" else None
    return None
