"""The LTX-Video decoder family: centred residual blocks, shuffled upsampling in front of each stage's blocks.

Facts from Lightricks/LTX-Video and diffusers' `AutoencoderKLLTXVideo` (0.9.0, no timestep conditioning). Space is
padded with zeros, time with the nearest frame on both sides. A temporal upsampler drops the first of its frames, so t
latents give 8 (t - 1) + 1 frames.

Legend: N batch, C channels, T frames, H W pixels of the stage at hand.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from flash_vaed.families.base import FAMILIES, Family, Parts
from flash_vaed.families.blocks import Pointwise, ResidualBlock, unpatchify
from flash_vaed.families.norms import Norm
from flash_vaed.operators import Hop
from flash_vaed.operators.conv3d import Conv3d
from flash_vaed.spec import DecoderSpec, FrozenMapping, LatentSpace, StagePlan
from flash_vaed.state import Stream

LTX_LATENTS = LatentSpace("ltx-video", mean=(0.0,) * 128, std=(1.0,) * 128)
"""Without statistics: the released ones lie in the checkpoints, not in the code, and a loader takes them from there."""


def ltx_spec(
    channels: tuple[int, ...] = (512, 512, 256, 128),
    blocks: tuple[int, ...] = (4, 3, 3, 3, 4),
    upsample: tuple[bool, ...] = (False, True, True, True),
    patch: int = 4,
    latents: LatentSpace = LTX_LATENTS,
    time: str = "centred_replicate",
) -> DecoderSpec:
    """The teacher's spec; the defaults are the released LTX-Video 0.9.0 decoder (238.8 M parameters).

    channels, upsample: per up stage in decoding order; the middle stage has the first width. blocks: middle stage
    first.
    """
    if not len(channels) == len(upsample) == len(blocks) - 1:
        raise ValueError(
            f"{len(channels)} up stages need as many upsample flags and one more block count, not {len(upsample)} and "
            f"{len(blocks)}"
        )
    stages = {"mid": StagePlan("conv3d", channels[0], blocks[0])}
    for i, width in enumerate(channels):
        kind = "spatiotemporal" if upsample[i] else "none"
        stages[f"up{i}"] = StagePlan("conv3d", width, blocks[i + 1], kind)
    return DecoderSpec("ltx", latents, FrozenMapping(stages), patch=patch, time=time)


class PixelNorm(Norm):
    """x over its root mean square across channels, taken in float32. No gain, no bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        x32 = x_NCTHW.float()
        return (x32 * torch.rsqrt(x32.square().mean(dim=1, keepdim=True) + 1e-8)).to(x_NCTHW.dtype)


class NormedPointwise(nn.Module):
    """Layer norm over channels, then 1x1x1: the residual path of a projecting block is not linear."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.conv = Pointwise(in_channels, out_channels)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        return self.conv(self.normed(x_NCTHW))

    def normed(self, x_NCTHW: Tensor) -> Tensor:
        """What the 1x1x1 convolution reads."""
        return self.norm(x_NCTHW.movedim(1, -1)).movedim(-1, 1)


class ShuffleUpsampler(nn.Module):
    """A convolution to eight times the channels, which become two frames of 2x2 pixels; the clip's first frame is
    dropped.
    """

    def __init__(self, channels: int, time: str) -> None:
        super().__init__()
        self.slot = ""
        self.conv = Conv3d(channels, channels * 8, time)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return self.deal_out(self.conv(x_NCTHW, stream), stream)

    def deal_out(self, y_NCTHW: Tensor, stream: Stream) -> Tensor:
        """Everything behind the convolution."""
        N, C, T, H, W = y_NCTHW.shape
        shuffled = y_NCTHW.reshape(N, C // 8, 2, 2, 2, T, H, W).permute(0, 1, 5, 2, 6, 3, 7, 4)
        frames = shuffled.reshape(N, C // 8, 2 * T, 2 * H, 2 * W)
        return frames[:, :, 1:] if stream.begins(self.slot, frames) else frames

    def sight(self) -> tuple[Hop, ...]:
        return (*self.conv.sight(), Hop(scale=2))


class Stage(nn.Module):
    """Where the width changes a dense block first, then an upsampler where planned, then the residual blocks."""

    def __init__(self, in_channels: int, plan: StagePlan, time: str) -> None:
        super().__init__()
        entrance = dataclasses.replace(plan, operator="conv3d", time=None)
        self.entrance = _block(in_channels, entrance, time) if in_channels != plan.channels else None
        self.upsampler = ShuffleUpsampler(plan.channels, time) if plan.upsample != "none" else None
        self.blocks = nn.ModuleList(_block(plan.channels, plan, time) for _ in range(plan.num_blocks))

    def layers(self) -> dict[str, nn.Module]:
        """What runs one after the other, by its name in the stage."""
        found: dict[str, nn.Module | None] = {"entrance": self.entrance, "upsampler": self.upsampler}
        found |= {f"blocks.{i}": block for i, block in enumerate(self.blocks)}
        return {name: layer for name, layer in found.items() if layer is not None}

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        for layer in self.layers().values():
            x_NCTHW = layer(x_NCTHW, stream)
        return x_NCTHW

    def sight(self) -> tuple[Hop, ...]:
        return tuple(hop for layer in self.layers().values() for hop in layer.sight())  # type: ignore[operator]


def _block(in_channels: int, plan: StagePlan, time: str) -> ResidualBlock:
    return ResidualBlock(in_channels, plan, time, PixelNorm, NormedPointwise)


class Head(nn.Module):
    """norm, SiLU, dense convolution to the pixels of a patch."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        width = list(spec.stages.values())[-1].channels
        self.patch = spec.patch
        self.norm = PixelNorm(width)
        self.conv = Conv3d(width, spec.out_channels * spec.patch**2, spec.time)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return unpatchify(self.conv(self.norm.then_silu(x_NCTHW), stream), self.patch)

    def sight(self) -> tuple[Hop, ...]:
        return (*self.conv.sight(), Hop(scale=self.patch))


@FAMILIES.register("ltx")
class Ltx(Family):
    projects_upward = False

    @staticmethod
    def build(spec: DecoderSpec) -> Parts:
        for name, plan in spec.stages.items():
            if plan.upsample == "spatial" or plan.attention or plan.skip or plan.width_out != plan.channels:
                raise ValueError(
                    f"stage {name}: an ltx stage upsamples time with space, keeps its width, only convolves"
                )
        plans = spec.stages.items()
        stages = nn.ModuleDict({name: Stage(spec.width_in(name), plan, spec.time) for name, plan in plans})
        entry = Conv3d(spec.latents.channels, next(iter(spec.stages.values())).channels, spec.time)
        return Parts(entry, stages, Head(spec))
