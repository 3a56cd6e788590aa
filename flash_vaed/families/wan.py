"""The Wan decoder family: causal residual blocks, per-frame attention, first frame outside time upsampling.

Facts from Wan-Video/Wan2.1, Wan-Video/Wan2.2 and diffusers' `AutoencoderKLWan`. Space is padded with zeros, time with
the past (zeros at the start). The first latent skips every temporal upsampler and gives one frame; each later latent
gives four.

Legend: N batch, C channels, T frames, H W pixels of the stage at hand.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.families.base import FAMILIES, Family, Parts
from flash_vaed.families.blocks import Pointwise, ResidualBlock, unpatchify
from flash_vaed.families.norms import Norm
from flash_vaed.memory_format import deal_frames, in_time
from flash_vaed.operators import Hop
from flash_vaed.operators.base import convolve
from flash_vaed.operators.conv2d import Conv2d
from flash_vaed.operators.conv3d import Conv3d
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


WAN22_LATENTS = LatentSpace(
    "wan2.2",
    mean=(
        -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
        0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
        -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
        -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
    ),
    std=(
        0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
        0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
        0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
        0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
    ),
)  # fmt: skip


def wan_spec(
    base_channels: int = 96,
    multipliers: tuple[int, ...] = (1, 2, 4, 4),
    blocks_per_stage: int = 3,
    time_upsample: tuple[bool, ...] = (True, True, False),
    latents: LatentSpace = WAN21_LATENTS,
    residual: bool = False,
    patch: int = 1,
) -> DecoderSpec:
    """The teacher's spec at any width; the defaults are the released Wan 2.1 decoder (73.3 M parameters).

    multipliers: stage widths over `base_channels`, from the output backwards (as diffusers' `dim_mult`).
    time_upsample: per up stage but the last, in decoding order. residual: Wan 2.2's up stages, which keep their width
    in the upsampler and add their input to their output. patch: pixels that the head writes per position and axis.
    """
    widths = [base_channels * m for m in reversed(multipliers)]
    if len(time_upsample) != len(widths) - 1:
        raise ValueError(
            f"{len(widths)} up stages need {len(widths) - 1} time_upsample flags, not {len(time_upsample)}"
        )
    stages = {"mid": StagePlan("conv3d", widths[0], num_blocks=2, attention=True)}
    for i, width in enumerate(widths):
        last = i == len(widths) - 1
        upsample = "none" if last else "spatiotemporal" if time_upsample[i] else "spatial"
        out = width if last or residual else width // 2
        stages[f"up{i}"] = StagePlan("conv3d", width, blocks_per_stage, upsample, out, skip=residual and not last)
    return DecoderSpec("wan", latents, FrozenMapping(stages), patch=patch)


class RmsNorm(Norm):
    """x / ||x|| over channels, times sqrt(C) and a learned gain (C,). No bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        return self.unit(x_NCTHW) * self.gamma.view(-1, 1, 1, 1)

    @staticmethod
    def unit(x_NCTHW: Tensor) -> Tensor:
        """The norm without its gain: mean square one over channels. Reduced in float32, returned in the input's dtype.

        As `F.normalize(x, dim=1)`, whose reduction over channels is up to forty times slower on a CPU.
        """
        x32 = x_NCTHW.float()
        length = x32.square().sum(dim=1, keepdim=True).clamp_min(1e-24).sqrt()
        return (x32 * (x32.shape[1] ** 0.5 / length)).to(x_NCTHW.dtype)


class FrameAttention(nn.Module):
    """Single-head self-attention over the pixels of one frame, plus identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = RmsNorm(channels)
        self.to_qkv = nn.Conv2d(channels, channels * 3, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x_NCTHW: Tensor, _stream: Stream) -> Tensor:
        N, C, T, H, W = x_NCTHW.shape
        mixed = attend(self.norm(x_NCTHW), self.to_qkv)
        mixed = self.proj(mixed.squeeze(1).transpose(1, 2).reshape(N * T, C, H, W))
        return x_NCTHW + mixed.reshape(N, T, C, H, W).transpose(1, 2)


def attend(x_NCTHW: Tensor, to_qkv: nn.Module) -> Tensor:
    """Values of each frame mixed by attention among its pixels: (N * T, 1, H * W, C)."""
    N, C, T, H, W = x_NCTHW.shape
    frames = x_NCTHW.transpose(1, 2).reshape(N * T, C, H, W)
    qkv = to_qkv(frames).reshape(N * T, 1, 3 * C, H * W).transpose(2, 3)
    q, k, v = qkv.contiguous().chunk(3, dim=-1)
    return F.scaled_dot_product_attention(q, k, v)


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
        doubled = deal_frames(convolve(extended, self.weight, self.bias), 2)
        return in_time(first, doubled) if stream.first else doubled


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

    def sight(self) -> tuple[Hop, ...]:
        return (Hop(scale=2), *self.conv.sight())


class Duplicate(nn.Module):
    """A stage's input at the size of its output: channels repeated, then dealt out to new frames and pixels.

    As in Wan 2.2 (`DupUp3D`). Of the frames that the clip's first one makes, only the last exists in the output.
    """

    def __init__(self, in_channels: int, plan: StagePlan) -> None:
        super().__init__()
        self.out_channels = plan.width_out
        self.frames = 2 if plan.upsample == "spatiotemporal" else 1
        self.side = 1 if plan.upsample == "none" else 2
        self.copies, rest = divmod(self.out_channels * self.frames * self.side**2, in_channels)
        if rest:
            raise ValueError(f"{in_channels} channels cannot be dealt out to a stage's output of {self.out_channels}")

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        N, _, T, H, W = x_NCTHW.shape
        f, s = self.frames, self.side
        dealt = x_NCTHW.repeat_interleave(self.copies, dim=1).reshape(N, self.out_channels, f, s, s, T, H, W)
        y = dealt.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(N, self.out_channels, T * f, H * s, W * s)
        return y[:, :, f - 1 :] if stream.first else y


class Stage(nn.Module):
    """Residual blocks, attention behind the first, an upsampler at the end, a skip around all of it: where planned."""

    def __init__(self, in_channels: int, plan: StagePlan, time: str) -> None:
        super().__init__()
        widths = [in_channels] + [plan.channels] * plan.num_blocks
        blocks = (ResidualBlock(width, plan, time, RmsNorm, Pointwise) for width, _ in pairwise(widths))
        self.blocks = nn.ModuleList(blocks)
        self.attention = FrameAttention(plan.channels) if plan.attention else None
        self.upsampler = Upsampler(plan) if plan.upsample != "none" else None
        self.skip = Duplicate(in_channels, plan) if plan.skip else None

    def layers(self) -> dict[str, nn.Module]:
        """What runs one after the other, by its name in the stage."""
        found: dict[str, nn.Module] = {}
        for i, block in enumerate(self.blocks):
            found[f"blocks.{i}"] = block
            if i == 0 and self.attention is not None:
                found["attention"] = self.attention
        return found if self.upsampler is None else {**found, "upsampler": self.upsampler}

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        y = x_NCTHW
        for layer in self.layers().values():
            y = layer(y, stream)
        return y if self.skip is None else y + self.skip(x_NCTHW, stream)

    def sight(self) -> tuple[Hop, ...] | None:
        """None with attention; the skip sees no further than the blocks."""
        if self.attention is not None:
            return None
        return tuple(hop for layer in self.layers().values() for hop in layer.sight())  # type: ignore[operator]


class Entry(nn.Module):
    """1x1x1 on the raw latent, then a dense causal convolution to the first width."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.latent_mix = Pointwise(spec.latents.channels, spec.latents.channels)
        self.conv = Conv3d(spec.latents.channels, next(iter(spec.stages.values())).channels, spec.time)

    def forward(self, z_NCthw: Tensor, stream: Stream) -> Tensor:
        return self.conv(self.latent_mix(z_NCthw), stream)

    def sight(self) -> tuple[Hop, ...]:
        return self.conv.sight()


class Head(nn.Module):
    """norm, SiLU, dense causal convolution to pixels."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        width = list(spec.stages.values())[-1].width_out
        self.patch = spec.patch
        self.norm = RmsNorm(width)
        self.conv = Conv3d(width, spec.out_channels * spec.patch**2, spec.time)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return unpatchify(self.conv(self.norm.then_silu(x_NCTHW), stream), self.patch)

    def sight(self) -> tuple[Hop, ...]:
        return (*self.conv.sight(), Hop(scale=self.patch))


@FAMILIES.register("wan")
class Wan(Family):
    @staticmethod
    def build(spec: DecoderSpec) -> Parts:
        plans = spec.stages.items()
        stages = nn.ModuleDict({name: Stage(spec.width_in(name), plan, spec.time) for name, plan in plans})
        return Parts(Entry(spec), stages, Head(spec))
