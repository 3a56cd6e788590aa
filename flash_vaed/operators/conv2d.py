"""Per-frame 2D convolution, 3x3: no memory, nothing to stream. Replaces dense 3D where the teacher hardly uses time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flash_vaed.operators.base import OPERATORS, KernelOperator, convolve
from flash_vaed.state import Stream


@OPERATORS.register("conv2d")
class Conv2d(KernelOperator):
    """Kept as an (O, I, 3, 3) weight and run as a 1x3x3 convolution, so that frames need no reshaping."""

    reach = (1, 3, 3)

    def __init__(self, in_channels: int, out_channels: int, time: str = "causal_zero") -> None:
        super().__init__(in_channels, out_channels, time)
        self.weight, self.bias = nn.Conv2d(in_channels, out_channels, 3).parameters()  # for its initialisation

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return convolve(x_NCTHW, self.weight.unsqueeze(2), self.bias)

    @torch.no_grad()
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        """Sum over time: exact for static content away from the clip's ends."""
        self.weight.copy_(weight_OI333.sum(dim=2))
        self.bias.copy_(bias_O)
