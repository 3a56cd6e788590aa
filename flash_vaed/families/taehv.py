"""The TAEHV decoder family: tiny, per frame but for one remembered frame per block, no norms.

Facts from madebyollin/taehv (`taew2_1.pth` decodes Wan 2.1). It takes normalised latents and makes 4 t frames in
[0, 1], of which the first three are dropped; here it reads raw latents and writes frames in [-1, 1], as every decoder
does. A new clip remembers zeros.

Legend: N batch, C channels, T frames, H W pixels of the stage at hand.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.families.base import FAMILIES, Family, Parts
from flash_vaed.families.blocks import unpatchify
from flash_vaed.families.wan import WAN21_LATENTS
from flash_vaed.memory_format import deal_frames
from flash_vaed.operators import OPERATORS, Hop
from flash_vaed.operators.base import convolve
from flash_vaed.operators.conv2d import Conv2d
from flash_vaed.spec import DecoderSpec, FrozenMapping, LatentSpace, StagePlan
from flash_vaed.state import Stream


def taehv_spec(
    channels: tuple[int, ...] = (256, 128, 64, 64),
    blocks: int = 3,
    time_upsample: tuple[bool, ...] = (False, True, True),
    latents: LatentSpace = WAN21_LATENTS,
    patch: int = 1,
) -> DecoderSpec:
    """The released spec at any width; the defaults are `taew2_1.pth` (9.8 M parameters).

    channels: width of every stage in decoding order, then that of the head. time_upsample: per stage.
    """
    if len(channels) != len(time_upsample) + 1:
        raise ValueError(
            f"{len(channels)} widths are those of {len(channels) - 1} stages and the head, which need "
            f"{len(channels) - 1} time_upsample flags, not {len(time_upsample)}"
        )
    stages = {}
    for i, (width, out) in enumerate(pairwise(channels)):
        kind = "spatiotemporal" if time_upsample[i] else "spatial"
        stages[f"up{i}"] = StagePlan("conv2d", width, blocks, kind, out)
    return DecoderSpec("taehv", latents, FrozenMapping(stages), patch=patch)


class MemoryBlock(nn.Module):
    """Three convolutions on a frame beside the one before it, plus the frame; ReLU behind each."""

    def __init__(self, plan: StagePlan, time: str) -> None:
        super().__init__()
        operator, width = OPERATORS.get(plan.operator), plan.channels
        self.slot = ""
        self.conv1 = operator(2 * width, width, time)
        self.conv2 = operator(width, width, time)
        self.conv3 = operator(width, width, time)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        before = stream.extend(self.slot, x_NCTHW, 1)[:, :, :-1]
        y = F.relu(self.conv1(torch.cat([x_NCTHW, before], dim=1), stream))
        y = F.relu(self.conv2(y, stream))
        return F.relu(self.conv3(y, stream) + x_NCTHW)

    def sight(self) -> tuple[Hop, ...]:
        return self.conv1.sight() + self.conv2.sight() + self.conv3.sight()


class Unbiased(nn.Module):
    """A convolution per frame without a bias: (O, I, side, side) weight."""

    def __init__(self, in_channels: int, out_channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Conv2d(in_channels, out_channels, side, bias=False).weight

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        return convolve(x_NCTHW, self.weight.unsqueeze(2), None)


class Upsampler(nn.Module):
    """Pixels x2 by nearest neighbour, a 1x1 convolution that makes one frame or two, a 3x3 convolution."""

    def __init__(self, plan: StagePlan) -> None:
        super().__init__()
        self.frames = 2 if plan.upsample == "spatiotemporal" else 1
        self.grow = Unbiased(plan.channels, plan.channels * self.frames, 1)
        self.conv = Unbiased(plan.channels, plan.width_out, 3)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        grown = self.grow(F.interpolate(x_NCTHW, scale_factor=(1, 2, 2), mode="nearest"))
        return self.conv(deal_frames(grown, self.frames))

    def sight(self) -> tuple[Hop, ...]:
        return Hop(scale=2), Hop(margin=1)


class Stage(nn.Module):
    """Memory blocks, then the upsampler."""

    def __init__(self, plan: StagePlan, time: str) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(MemoryBlock(plan, time) for _ in range(plan.num_blocks))
        self.upsampler = Upsampler(plan)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        for block in self.blocks:
            x_NCTHW = block(x_NCTHW, stream)
        return self.upsampler(x_NCTHW)

    def sight(self) -> tuple[Hop, ...]:
        return tuple(hop for layer in (*self.blocks, self.upsampler) for hop in layer.sight())


class Entry(nn.Module):
    """Raw latents, normalised and bounded to (-3, 3), to the first width."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.latents = spec.latents
        self.conv = Conv2d(spec.latents.channels, next(iter(spec.stages.values())).channels)

    def forward(self, z_NCthw: Tensor, stream: Stream) -> Tensor:
        bounded = 3 * torch.tanh(self.latents.normalize(z_NCthw) / 3)
        return F.relu(self.conv(bounded, stream))

    def sight(self) -> tuple[Hop, ...]:
        return self.conv.sight()


class Head(nn.Module):
    """ReLU and a 3x3 convolution to pixels. A clip's first latent keeps the last of its frames only."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.patch, self.dropped = spec.patch, spec.temporal_scale - 1
        width = list(spec.stages.values())[-1].width_out
        self.conv = Conv2d(width, spec.out_channels * spec.patch**2)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        if stream.first:
            x_NCTHW = x_NCTHW[:, :, self.dropped :]
        frames_01 = unpatchify(self.conv(F.relu(x_NCTHW), stream), self.patch)
        return 2 * frames_01 - 1

    def sight(self) -> tuple[Hop, ...]:
        return (*self.conv.sight(), Hop(scale=self.patch))


@FAMILIES.register("taehv")
class Taehv(Family):
    @staticmethod
    def build(spec: DecoderSpec) -> Parts:
        if spec.time != "causal_zero":
            raise ValueError(f"a taehv decoder remembers zeros before a clip: time is causal_zero, not {spec.time}")
        for name, plan in spec.stages.items():
            told = plan.attention, plan.skip, plan.time is not None, plan.shortcut != "auto", plan.upsample == "none"
            if any(told) or spec.width_in(name) != plan.channels:
                raise ValueError(
                    f"stage {name}: a taehv stage keeps its width up to its upsampler, always has one, only convolves"
                )
        stages = nn.ModuleDict({name: Stage(plan, spec.time) for name, plan in spec.stages.items()})
        return Parts(Entry(spec), stages, Head(spec))
