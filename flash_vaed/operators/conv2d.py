"""Per-frame 2D convolution, 3x3: no memory, nothing to stream. Replaces dense 3D where the teacher hardly uses time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.operators.base import OPERATORS, Index, Operator, patches
from flash_vaed.state import Stream


@OPERATORS.register("conv2d")
class Conv2d(Operator):
    """Kept as an (O, I, 3, 3) weight and run as a 1x3x3 convolution, so that frames need no reshaping."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        conv = nn.Conv2d(in_channels, out_channels, 3)  # for its initialisation
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return F.conv3d(x_NCTHW, self.weight.unsqueeze(2), self.bias, padding=(0, 1, 1))

    @torch.no_grad()
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        """Sum over time: exact for static content away from the clip's start."""
        self.weight.copy_(weight_OI333.sum(dim=2))
        self.bias.copy_(bias_O)

    def columns(self, x_NCTHW: Tensor, index: Index) -> Tensor:
        return patches(x_NCTHW, index, (1, 3, 3))

    def theta(self) -> Tensor:
        return self.weight.detach().flatten(1).T

    @torch.no_grad()
    def write(self, theta_KO: Tensor, bias_O: Tensor) -> None:
        self.weight.copy_(theta_KO.T.reshape(self.weight.shape))
        self.bias.copy_(bias_O)
