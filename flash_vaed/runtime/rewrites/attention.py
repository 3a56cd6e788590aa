"""Wan's attention on clips that lie channels last: projections as matrix products, wide heads by a Triton kernel.

PyTorch's quick attention ends at 256 channels; Wan's one head has 384 and takes 8.4 ms there for a clip of 81 frames of
480x832 on an H200, and 3.5 ms here.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.families.wan import FrameAttention
from flash_vaed.runtime.kernels import runs_triton
from flash_vaed.runtime.rewrites.base import REWRITES, everywhere
from flash_vaed.runtime.rewrites.values import ProjectedValues
from flash_vaed.state import Stream

QUICK = 256  # channels up to which PyTorch's own attention is


class MatrixAttention(nn.Module):
    """`FrameAttention`, or what `values` made of it. Off a GPU, or without Triton, PyTorch's own attention."""

    def __init__(self, attention: FrameAttention | ProjectedValues) -> None:
        super().__init__()
        self.norm, self.to_qkv = attention.norm, attention.to_qkv
        self.proj = attention.proj if isinstance(attention, FrameAttention) else None

    def forward(self, x_NCTHW: Tensor, _stream: Stream) -> Tensor:
        N, C, T, H, W = x_NCTHW.shape
        pixels = self.norm(x_NCTHW).permute(0, 2, 3, 4, 1).reshape(N * T, H * W, C)
        mixed = _mixed(_linear(pixels, self.to_qkv))
        if self.proj is not None:
            mixed = _linear(mixed, self.proj)
        return x_NCTHW + mixed.reshape(N, T, H, W, C).permute(0, 4, 1, 2, 3)


def _linear(pixels_FPC: Tensor, conv: nn.Conv2d) -> Tensor:
    return F.linear(pixels_FPC, conv.weight.flatten(1), conv.bias)


def _mixed(qkv_FPC: Tensor) -> Tensor:
    C = qkv_FPC.shape[2] // 3
    if runs_triton(qkv_FPC):
        from flash_vaed.runtime.kernels.attention import WIDEST, wide_attention

        if QUICK < C <= WIDEST:
            mixed: Tensor = wide_attention(qkv_FPC)
            return mixed
    q, k, v = qkv_FPC.unsqueeze(1).chunk(3, dim=-1)
    return F.scaled_dot_product_attention(q, k, v).squeeze(1)


@REWRITES.register("attention")
@everywhere
def attention(module: nn.Module) -> nn.Module | None:
    """Every attention of the Wan family."""
    return MatrixAttention(module) if isinstance(module, (FrameAttention, ProjectedValues)) else None
