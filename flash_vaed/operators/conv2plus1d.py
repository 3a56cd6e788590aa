"""A 3D convolution taken apart: 1x3x3 over space, then 3x1x1 over time, nothing in between."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flash_vaed.operators.base import OPERATORS, Index, Operator, convolve, low_rank, patches
from flash_vaed.state import Stream


@OPERATORS.register("conv2plus1d")
class Conv2plus1d(Operator):
    """The (2+1)D convolution of Tran et al. (arXiv 1711.11248), without its nonlinearity: so it can start from a dense
    kernel.

    M channels lie between the two: as many as come out, or the 9 I spatial taps where those are fewer. The spatial
    convolution has no bias: the temporal one's says as much, and zeros in front of a clip stay zeros when filtered. So
    the filtered frames are remembered, and no frame is filtered twice.
    """

    def __init__(self, in_channels: int, out_channels: int, time: str = "causal_zero") -> None:
        super().__init__(in_channels, out_channels, time)
        middle = min(out_channels, 9 * in_channels)
        self.spatial_weight = nn.Conv3d(in_channels, middle, (1, 3, 3), bias=False).weight
        self.temporal_weight, self.temporal_bias = nn.Conv3d(middle, out_channels, (3, 1, 1)).parameters()

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        extended = stream.extend(self.slot, self._filter(x_NCTHW), 2, self.time)
        return convolve(extended, self.temporal_weight, self.temporal_bias)

    def _filter(self, x_NCTHW: Tensor) -> Tensor:
        return convolve(x_NCTHW, self.spatial_weight, None)

    @torch.no_grad()
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        """The nearest kernel in weight space: as a matrix from spatial taps (I, 3, 3) to (O, 3) the dense kernel loses
        all but its M largest singular values. The spatial filters have norm 1.
        """
        O, I = weight_OI333.shape[:2]  # noqa: E741
        M = len(self.spatial_weight)
        matrix = weight_OI333.detach().double().permute(1, 3, 4, 0, 2).reshape(I * 9, O * 3)
        left, scale, right = low_rank(matrix, M)
        self.spatial_weight.copy_(left.T.reshape(self.spatial_weight.shape))
        over_time = (scale[:, None] * right).view(M, O, 3)
        self.temporal_weight.copy_(over_time.transpose(0, 1).reshape(self.temporal_weight.shape))
        self.temporal_bias.copy_(bias_O)

    def columns(self, x_NCTHW: Tensor, index: Index) -> Tensor:
        return patches(self._filter(x_NCTHW), index, (3, 1, 1), self.time)[None]

    def last(self) -> tuple[nn.Parameter, nn.Parameter]:
        return self.temporal_weight, self.temporal_bias
