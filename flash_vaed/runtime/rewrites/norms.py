"""A norm and the SiLU behind it in one pass over the clip, by a kernel for CPUs; elsewhere they compute as before.

`torch.compile` fuses the two as well, in slower loops, and slow ones of few channels. It writes what a dense 3D
convolution reads straight behind the frames it remembers, which the kernel does not: those norms stay.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flash_vaed.decoder import Decoder
from flash_vaed.families.ltx import PixelNorm
from flash_vaed.families.norms import Norm
from flash_vaed.families.wan import RmsNorm
from flash_vaed.operators.conv3d import Conv3d
from flash_vaed.runtime.kernels.cpu import LANES, norm_silu, runs_on_cpu
from flash_vaed.runtime.rewrites.base import REWRITES

_PAIRS = (("norm1", "conv1"), ("norm2", "conv2"), ("norm", "conv"))  # a norm and what reads it behind a SiLU


class FusedNorm(Norm):
    """A norm with gain `gamma` (C,): x / sqrt(max(m, least) + more), m the mean square over channels."""

    def __init__(self, norm: Norm, gamma_C: Tensor, least: float = 0.0, more: float = 0.0) -> None:
        super().__init__()
        self.norm, self.least, self.more = norm, least, more
        self.gamma = nn.Parameter(gamma_C.detach(), requires_grad=False)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        y: Tensor = self.norm(x_NCTHW)
        return y

    def then_silu(self, x_NCTHW: Tensor) -> Tensor:
        if runs_on_cpu(x_NCTHW):
            made: Tensor = norm_silu(x_NCTHW, self.gamma, self.least, self.more)
            return made
        return self.norm.then_silu(x_NCTHW)


@REWRITES.register("norms")
@torch.no_grad()
def norms(decoder: Decoder) -> int:
    """Every norm of the Wan and LTX families in front of a convolution, but of whole vectors before a dense 3D one."""
    places = 0
    for module in list(decoder.modules()):
        for norm, conv in _PAIRS:
            before, behind = getattr(module, norm, None), getattr(module, conv, None)
            if isinstance(before, (RmsNorm, PixelNorm)) and isinstance(behind, nn.Module):
                fused = _fused(before)
                if len(fused.gamma) % LANES or type(behind) is not Conv3d:
                    setattr(module, norm, fused)
                    places += 1
    return places


def _fused(norm: RmsNorm | PixelNorm) -> FusedNorm:
    if isinstance(norm, RmsNorm):
        return FusedNorm(norm, norm.gamma, least=1e-24 / len(norm.gamma))
    return FusedNorm(norm, torch.ones(norm.channels), more=1e-8)
