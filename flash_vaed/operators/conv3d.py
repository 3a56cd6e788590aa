"""Dense 3D convolution, 3x3x3, the teachers' operator: zeros around space; time as the decoder's rule says."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flash_vaed.operators.base import OPERATORS, KernelOperator, convolve
from flash_vaed.state import Stream


@OPERATORS.register("conv3d")
class Conv3d(KernelOperator):
    """Causal as in Wan 2.1 (Wan-Video/Wan2.1), where frame t sees t-2, t-1 and t, or centred as in LTX-Video."""

    reach = (3, 3, 3)

    def __init__(self, in_channels: int, out_channels: int, time: str = "causal_zero") -> None:
        super().__init__(in_channels, out_channels, time)
        self.weight, self.bias = nn.Conv3d(in_channels, out_channels, 3).parameters()  # for its initialisation

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return convolve(stream.extend(self.slot, x_NCTHW, 2, self.time), self.weight, self.bias)

    @torch.no_grad()
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        self.weight.copy_(weight_OI333)
        self.bias.copy_(bias_O)
