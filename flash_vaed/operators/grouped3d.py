"""Dense 3D convolution in groups of channels, 3x3x3: each group of outputs sees its own group of inputs only."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from flash_vaed.operators.base import OPERATORS, KernelOperator, convolve
from flash_vaed.state import Stream


@OPERATORS.register("grouped3d")
class Grouped3d(KernelOperator):
    """A G-th of a dense convolution's parameters and multiply-accumulates.

    most_groups: G is the largest number that divides it and both widths, so widths without a common divisor give a
    dense convolution.
    """

    most_groups: ClassVar[int] = 4
    reach = (3, 3, 3)

    def __init__(self, in_channels: int, out_channels: int, time: str = "causal_zero") -> None:
        super().__init__(in_channels, out_channels, time)
        self.groups = math.gcd(self.most_groups, in_channels, out_channels)
        grouped = nn.Conv3d(in_channels, out_channels, 3, groups=self.groups)  # for its initialisation
        self.weight, self.bias = grouped.parameters()

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return convolve(stream.extend(self.slot, x_NCTHW, 2, self.time), self.weight, self.bias, self.groups)

    @torch.no_grad()
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        """The nearest kernel in weight space: the dense kernel's diagonal blocks."""
        blocks = weight_OI333.unflatten(1, (self.groups, -1)).unflatten(0, (self.groups, -1))  # (G, O/G, G, I/G, ...)
        each = torch.arange(self.groups)
        self.weight.copy_(blocks[each, :, each].flatten(0, 1))
        self.bias.copy_(bias_O)
