"""Dense causal 3D convolution, the teacher's operator: 3x3x3, zeros in space, the past (or zeros) in time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.operators.base import OPERATORS, Index, Operator, patches
from flash_vaed.state import Stream


@OPERATORS.register("causal_conv3d")
class CausalConv3d(Operator):
    """As in Wan 2.1 (Wan-Video/Wan2.1): frame t sees frames t-2, t-1 and t."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        conv = nn.Conv3d(in_channels, out_channels, 3)  # for its initialisation
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return F.conv3d(stream.extend(self.slot, x_NCTHW, 2), self.weight, self.bias, padding=(0, 1, 1))

    @torch.no_grad()
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        self.weight.copy_(weight_OI333)
        self.bias.copy_(bias_O)

    def columns(self, x_NCTHW: Tensor, index: Index) -> Tensor:
        return patches(x_NCTHW, index, (3, 3, 3))

    def theta(self) -> Tensor:
        return self.weight.detach().flatten(1).T

    @torch.no_grad()
    def write(self, theta_KO: Tensor, bias_O: Tensor) -> None:
        self.weight.copy_(theta_KO.T.reshape(self.weight.shape))
        self.bias.copy_(bias_O)
