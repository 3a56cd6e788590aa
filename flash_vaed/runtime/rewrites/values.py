"""The output projection of Wan's attention folded into its values: softmax(QK) (X V) P = softmax(QK) (X (V P)).

Rows of the softmax sum to one, so biases fold as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flash_vaed.families.wan import FrameAttention, attend
from flash_vaed.runtime.rewrites.base import REWRITES, everywhere
from flash_vaed.state import Stream


class ProjectedValues(nn.Module):
    """`FrameAttention` without its last 1x1 convolution."""

    def __init__(self, attention: FrameAttention) -> None:
        super().__init__()
        self.norm, self.to_qkv = attention.norm, attention.to_qkv
        project, values = attention.proj.weight.double().flatten(1), slice(-attention.proj.in_channels, None)
        with torch.no_grad():
            weight, bias = self.to_qkv.weight, self.to_qkv.bias
            assert bias is not None
            assert attention.proj.bias is not None
            weight[values] = (project @ weight[values].double().flatten(1)).to(weight.dtype)[..., None, None]
            bias[values] = (project @ bias[values].double() + attention.proj.bias.double()).to(bias.dtype)

    def forward(self, x_NCTHW: Tensor, _stream: Stream) -> Tensor:
        N, C, T, H, W = x_NCTHW.shape
        mixed = attend(self.norm(x_NCTHW), self.to_qkv).reshape(N, T, H, W, C)
        return x_NCTHW + mixed.permute(0, 4, 1, 2, 3)


@REWRITES.register("values")
@everywhere
def values(module: nn.Module) -> nn.Module | None:
    """Every attention of the Wan family."""
    return ProjectedValues(module) if isinstance(module, FrameAttention) else None
