"""The Wan 2.1 decoder family: causal residual blocks, per-frame attention, first frame outside time upsampling.

Facts from Wan-Video/Wan2.1 and diffusers' `AutoencoderKLWan`. Space is padded with zeros, time with the past (zeros at
the start). The first latent skips every temporal upsampler and gives one frame; each later latent gives four.

Legend: N batch, C channels, T frames, H W pixels of the stage at hand.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.families.base import FAMILIES, Family, Parts
from flash_vaed.operators import OPERATORS
from flash_vaed.operators.causal_conv3d import CausalConv3d
from flash_vaed.operators.conv2d import Conv2d
from flash_vaed.spec import DecoderSpec, FrozenMapping, LatentSpace, StagePlan
from flash_vaed.state import Stream

WAN21_LATENTS = LatentSpace(
    "wan2.1",
    mean=(
        -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
        0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
    ),
    std=(
        2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
        3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
    ),
)  # fmt: skip


def wan_spec(
    base_channels: int = 96,
    multipliers: tuple[int, ...] = (1, 2, 4, 4),
    blocks_per_stage: int = 3,
    time_upsample: tuple[bool, ...] = (True, True, False),
    latents: LatentSpace = WAN21_LATENTS,
) -> DecoderSpec:
    """The teacher's spec at any width; the defaults are the released Wan 2.1 decoder (73.3 M parameters).

    multipliers: stage widths over `base_channels`, from the output backwards (as diffusers' `dim_mult`).
    time_upsample: per up stage but the last, in decoding order.
    """
    widths = [base_channels * m for m in reversed(multipliers)]
    if len(time_upsample) != len(widths) - 1:
        raise ValueError(
            f"{len(widths)} up stages need {len(widths) - 1} time_upsample flags, not {len(time_upsample)}"
        )
    stages = {"mid": StagePlan("causal_conv3d", widths[0], num_blocks=2, attention=True)}
    for i, width in enumerate(widths):
        last = i == len(widths) - 1
        upsample = "none" if last else "spatiotemporal" if time_upsample[i] else "spatial"
        stages[f"up{i}"] = StagePlan(
            "causal_conv3d", width, blocks_per_stage, upsample, out_channels=width if last else width // 2
        )
    return DecoderSpec("wan", latents, FrozenMapping(stages))


class RmsNorm(nn.Module):
    """x / ||x|| over channels, times sqrt(C) and a learned gain (C,). No bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        return self.unit(x_NCTHW) * self.gamma.view(-1, 1, 1, 1)

    @staticmethod
    def unit(x_NCTHW: Tensor) -> Tensor:
        """The norm without its gain: mean square one over channels."""
        return F.normalize(x_NCTHW, dim=1) * x_NCTHW.shape[1] ** 0.5


class Pointwise(nn.Module):
    """1x1x1 convolution with a (O, I, 1, 1, 1) weight."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        conv = nn.Conv3d(in_channels, out_channels, 1)
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        return F.conv3d(x_NCTHW, self.weight, self.bias)


class ResidualBlock(nn.Module):
    """norm, SiLU, conv, norm, SiLU, conv, plus the input (through a 1x1x1 where widths differ or the plan says so)."""

    def __init__(self, in_channels: int, plan: StagePlan) -> None:
        super().__init__()
        operator = OPERATORS.get(plan.operator)
        self.norm1 = RmsNorm(in_channels)
        self.conv1 = operator(in_channels, plan.channels)
        self.norm2 = RmsNorm(plan.channels)
        self.conv2 = operator(plan.channels, plan.channels)
        projected = plan.shortcut == "always" or in_channels != plan.channels
        self.shortcut = Pointwise(in_channels, plan.channels) if projected else nn.Identity()

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x_NCTHW)), stream)
        y = self.conv2(F.silu(self.norm2(y)), stream)
        return y + self.shortcut(x_NCTHW)


class FrameAttention(nn.Module):
    """Single-head self-attention over the pixels of one frame, plus identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = RmsNorm(channels)
        self.to_qkv = nn.Conv2d(channels, channels * 3, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        N, C, T, H, W = x_NCTHW.shape
        frames = self.norm(x_NCTHW).transpose(1, 2).reshape(N * T, C, H, W)
        qkv = self.to_qkv(frames).reshape(N * T, 1, 3 * C, H * W).transpose(2, 3)
        q, k, v = qkv.contiguous().chunk(3, dim=-1)
        mixed = F.scaled_dot_product_attention(q, k, v)
        mixed = self.proj(mixed.squeeze(1).transpose(1, 2).reshape(N * T, C, H, W))
        return x_NCTHW + mixed.reshape(N, T, C, H, W).transpose(1, 2)


class TimeConv(nn.Module):
    """Causal 3x1x1 convolution C -> 2C whose halves are two frames; the clip's first frame passes through untouched."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.slot = ""
        conv = nn.Conv3d(channels, channels * 2, (3, 1, 1))
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        first, rest = x_NCTHW[:, :, : int(stream.first)], x_NCTHW[:, :, int(stream.first) :]
        extended = stream.extend(self.slot, rest, 2)  # the first frame is never remembered here
        if rest.shape[2] == 0:
            return first
        N, C, T, H, W = rest.shape
        doubled = F.conv3d(extended, self.weight, self.bias).view(N, 2, C, T, H, W)
        interleaved = doubled.permute(0, 2, 3, 1, 4, 5).reshape(N, C, 2 * T, H, W)
        return torch.cat([first, interleaved], dim=2)


class Upsampler(nn.Module):
    """Frames x2 in time (if planned), pixels x2 by nearest neighbour, then a 3x3 convolution per frame."""

    def __init__(self, plan: StagePlan) -> None:
        super().__init__()
        self.time_conv = TimeConv(plan.channels) if plan.upsample == "spatiotemporal" else None
        self.conv = Conv2d(plan.channels, plan.width_out)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return self.conv(self.enlarge(x_NCTHW, stream), stream)

    def enlarge(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        """Everything in front of the 3x3 convolution."""
        if self.time_conv is not None:
            x_NCTHW = self.time_conv(x_NCTHW, stream)
        return F.interpolate(x_NCTHW, scale_factor=(1, 2, 2), mode="nearest")


class Stage(nn.Module):
    """Residual blocks, attention behind the first where planned, an upsampler at the end where planned."""

    def __init__(self, in_channels: int, plan: StagePlan) -> None:
        super().__init__()
        widths = [in_channels] + [plan.channels] * plan.num_blocks
        self.blocks = nn.ModuleList(ResidualBlock(width, plan) for width, _ in pairwise(widths))
        self.attention = FrameAttention(plan.channels) if plan.attention else None
        self.upsampler = Upsampler(plan) if plan.upsample != "none" else None

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        for i, block in enumerate(self.blocks):
            x_NCTHW = block(x_NCTHW, stream)
            if i == 0 and self.attention is not None:
                x_NCTHW = self.attention(x_NCTHW)
        return x_NCTHW if self.upsampler is None else self.upsampler(x_NCTHW, stream)


class Entry(nn.Module):
    """1x1x1 on the raw latent, then a dense causal convolution to the first width."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.latent_mix = Pointwise(spec.latents.channels, spec.latents.channels)
        self.conv = CausalConv3d(spec.latents.channels, next(iter(spec.stages.values())).channels)

    def forward(self, z_NCthw: Tensor, stream: Stream) -> Tensor:
        return self.conv(self.latent_mix(z_NCthw), stream)


class Head(nn.Module):
    """norm, SiLU, dense causal convolution to pixels."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        width = list(spec.stages.values())[-1].width_out
        self.norm = RmsNorm(width)
        self.conv = CausalConv3d(width, spec.out_channels)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return self.conv(F.silu(self.norm(x_NCTHW)), stream)


@FAMILIES.register("wan")
class Wan(Family):
    @staticmethod
    def build(spec: DecoderSpec) -> Parts:
        stages = nn.ModuleDict({name: Stage(spec.width_in(name), plan) for name, plan in spec.stages.items()})
        return Parts(Entry(spec), stages, Head(spec))
