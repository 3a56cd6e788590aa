"""Dense causal 3D convolution, the teacher's operator: 3x3x3, zeros in space, the past (or zeros) in time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.operators.base import OPERATORS, KernelOperator
from flash_vaed.state import Stream


@OPERATORS.register("causal_conv3d")
class CausalConv3d(KernelOperator):
    """As in Wan 2.1 (Wan-Video/Wan2.1): frame t sees frames t-2, t-1 and t."""

    reach = (3, 3, 3)

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.weight, self.bias = nn.Conv3d(in_channels, out_channels, 3).parameters()  # for its initialisation

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return F.conv3d(stream.extend(self.slot, x_NCTHW, 2), self.weight, self.bias, padding=(0, 1, 1))

    @torch.no_grad()
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        self.weight.copy_(weight_OI333)
        self.bias.copy_(bias_O)
