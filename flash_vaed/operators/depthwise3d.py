"""Depthwise-separable causal 3D convolution: 3x3x3 per channel, then a pointwise mix of channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.operators.base import OPERATORS, Index, Operator
from flash_vaed.state import Stream


@OPERATORS.register("depthwise3d")
class Depthwise3d(Operator):
    """As in the spatial-temporal stages of Flash-VAED (arXiv 2602.19161)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        depthwise = nn.Conv3d(in_channels, in_channels, 3, groups=in_channels)  # both for their initialisation
        pointwise = nn.Conv3d(in_channels, out_channels, 1)
        self.depthwise_weight, self.depthwise_bias = depthwise.parameters()
        self.pointwise_weight, self.pointwise_bias = pointwise.parameters()

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        filtered = self._filter(stream.extend(self.slot, x_NCTHW, 2))
        return F.conv3d(filtered, self.pointwise_weight, self.pointwise_bias)

    def _filter(self, extended_NCTHW: Tensor) -> Tensor:
        return F.conv3d(
            extended_NCTHW, self.depthwise_weight, self.depthwise_bias, padding=(0, 1, 1), groups=self.in_channels
        )

    @torch.no_grad()
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        """The nearest kernel in weight space: rank one per input channel, by singular value decomposition."""
        per_input = weight_OI333.detach().double().flatten(2).permute(1, 0, 2)  # (I, O, 27)
        left, scale, right = torch.linalg.svd(per_input, full_matrices=False)
        taps, mix = right[:, 0], left[:, :, 0] * scale[:, :1]  # (I, 27), (I, O)
        sign = torch.where(taps[:, 22:23] < 0, -1.0, 1.0)  # tap 22 is the centre of the current frame
        self.depthwise_weight.copy_((taps * sign).view_as(self.depthwise_weight))
        self.depthwise_bias.zero_()
        self.pointwise_weight.copy_((mix * sign).T.reshape(self.pointwise_weight.shape))
        self.pointwise_bias.copy_(bias_O)

    def columns(self, x_NCTHW: Tensor, index: Index) -> Tensor:
        filtered = self._filter(F.pad(x_NCTHW, (0, 0, 0, 0, 2, 0)))
        n, t, y, x = index
        return filtered[n, :, t, y, x]

    def theta(self) -> Tensor:
        return self.pointwise_weight.detach().flatten(1).T

    @torch.no_grad()
    def write(self, theta_KO: Tensor, bias_O: Tensor) -> None:
        self.pointwise_weight.copy_(theta_KO.T.reshape(self.pointwise_weight.shape))
        self.pointwise_bias.copy_(bias_O)
