"""Depthwise-separable 3D convolution: 3x3x3 per channel, then a pointwise mix of channels."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from flash_vaed.operators.base import OPERATORS, Index, Operator, at, convolve, low_rank, pad_time
from flash_vaed.state import Stream


@OPERATORS.register("depthwise3d")
class Depthwise3d(Operator):
    """As in the spatial-temporal stages of Flash-VAED (arXiv 2602.19161).

    size: side of the filters. multiplier: filters per input channel, but never more than there are output channels,
    which could tell no more apart.

    Legend: M filters per input channel.
    """

    size: ClassVar[int] = 3
    multiplier: ClassVar[int] = 1

    def __init__(self, in_channels: int, out_channels: int, time: str = "causal_zero") -> None:
        super().__init__(in_channels, out_channels, time)
        self.filters = min(self.multiplier, out_channels)
        middle = in_channels * self.filters
        depthwise = nn.Conv3d(in_channels, middle, self.size, groups=in_channels)  # both for their initialisation
        pointwise = nn.Conv3d(middle, out_channels, 1)
        self.depthwise_weight, self.depthwise_bias = depthwise.parameters()
        self.pointwise_weight, self.pointwise_bias = pointwise.parameters()

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        filtered = self._filter(stream.extend(self.slot, x_NCTHW, self.size - 1, self.time))
        return convolve(filtered, self.pointwise_weight, self.pointwise_bias)

    def _filter(self, extended_NCTHW: Tensor) -> Tensor:
        weight, bias, I, M = self.depthwise_weight, self.depthwise_bias, self.in_channels, self.filters  # noqa: E741
        if M == 1 or extended_NCTHW.device.type != "cpu":
            return convolve(extended_NCTHW, weight, bias, groups=I)
        # oneDNN is two to four times faster with one filter per channel at a time; the values are the same
        filtered = [convolve(extended_NCTHW, weight[m::M], bias[m::M], groups=I) for m in range(M)]
        return torch.stack(filtered, dim=2).flatten(1, 2)

    @torch.no_grad()
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        """The nearest kernel in weight space: of rank M per input channel, as of a singular value decomposition."""
        M = self.filters
        per_input = weight_OI333.detach().double().flatten(2).permute(1, 0, 2)  # (I, O, 27)
        left, scale, taps = low_rank(per_input, M)
        mix = left * scale[:, None]  # (I, O, M), taps (I, M, 27)
        present = 13 if self.time.startswith("centred") else 22  # the tap at the position itself
        sign = torch.where(taps[:, :, present] < 0, -1.0, 1.0)  # (I, M)
        self.depthwise_weight.zero_()
        self._dense_taps().copy_((taps * sign[:, :, None]).reshape(-1, 1, 3, 3, 3))
        self.depthwise_bias.zero_()
        self.pointwise_weight.copy_((mix * sign[:, None]).transpose(0, 1).reshape(self.pointwise_weight.shape))
        self.pointwise_bias.copy_(bias_O)

    def _dense_taps(self) -> Tensor:
        """The taps of the filters that a dense 3x3x3 kernel has too: (I * M, 1, 3, 3, 3), a view."""
        margin = (self.size - 3) // 2
        oldest = margin if self.time.startswith("centred") else 2 * margin
        inner = slice(margin, margin + 3)
        return self.depthwise_weight[:, :, oldest : oldest + 3, inner, inner]

    def columns(self, x_NCTHW: Tensor, index: Index) -> Tensor:
        return at(self._filter(pad_time(x_NCTHW, self.size - 1, self.time)), index)[None]

    def last(self) -> tuple[nn.Parameter, nn.Parameter]:
        return self.pointwise_weight, self.pointwise_bias
