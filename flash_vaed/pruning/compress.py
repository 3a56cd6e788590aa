"""From a teacher and a plan to a small decoder: choose channels, build anew, copy what fits, refit what changed.

Nothing is cut in place. The student is built from its own spec, and every tensor is written into it from a slice of the
teacher's. Where kept channels feed a linear layer, the lost ones are folded in through their reconstruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flash_vaed.decoder import Decoder
from flash_vaed.operators import Operator
from flash_vaed.operators.conv3d import Conv3d
from flash_vaed.pruning.criteria import CRITERIA, Evidence
from flash_vaed.pruning.plan import CompressionPlan, student_spec
from flash_vaed.pruning.reconstruction import reconstruction, reconstruction_r2
from flash_vaed.pruning.refit import refit
from flash_vaed.pruning.sites import inner, sites, way_in, way_out
from flash_vaed.pruning.statistics import Statistics, calibrate

Kept = Mapping[str, list[int]]  # site name -> teacher channels that stay, ascending


@dataclass(frozen=True)
class Compressed:
    """A student and what its channels stand for.

    kept: per site, the teacher channel behind each student channel. r2: per pruned site, the share of variance they
    rebuild.
    """

    decoder: Decoder
    kept: dict[str, list[int]]
    r2: dict[str, float]


def compress(
    teacher: Decoder, plan: CompressionPlan, latents: Sequence[Tensor], statistics: Statistics | None = None
) -> Compressed:
    """Build the student that `plan` asks for, ready to be distilled.

    latents: raw calibration latents, each (N, C, t, h, w), all of one size. statistics: from `calibrate`, if already at
    hand. With a plan that changes nothing the student equals the teacher bit for bit.
    """
    spec = student_spec(teacher.spec, plan)
    statistics = statistics if statistics is not None else calibrate(teacher, latents)
    kept = choose(teacher, spec.stages, plan, statistics)
    student = Decoder(spec)
    _copy_weights(student, teacher, kept, statistics)
    if plan.refit and spec != teacher.spec:
        refit(student, teacher, kept, latents, seed=plan.seed)
    pruned = {name: channels for name, channels in kept.items() if len(channels) < len(statistics[name].mean)}
    r2 = {name: reconstruction_r2(statistics[name].covariance, channels) for name, channels in pruned.items()}
    return Compressed(student.eval(), dict(kept), r2)


def choose(teacher: Decoder, stages: Mapping[str, Any], plan: CompressionPlan, statistics: Statistics) -> Kept:
    """The channels that stay at every site of the teacher, for the widths in the student's `stages`."""
    criterion = CRITERIA.get(plan.criterion)
    generator = torch.Generator().manual_seed(plan.seed)
    modules = dict(teacher.named_modules())
    names = list(stages)
    kept = {}
    for site in sites(teacher.spec).values():
        position = names.index(site.stage)
        width = stages[site.stage].channels
        if site.name.endswith(".in"):  # what the stage before hands over; the entry keeps its channels
            width = stages[names[position - 1]].width_out if position else site.channels
        if width == site.channels:
            kept[site.name] = list(range(width))
            continue
        producers = tuple(_producer(modules[tap]) for tap in site.taps)
        order = criterion(Evidence(statistics[site.name], producers, plan.scaling, generator))
        kept[site.name] = sorted(order[:width])
    return kept


def _producer(tap: torch.nn.Module) -> Tensor:
    """The kernel that writes a tap's output: the tap's own, or the last one inside it."""
    convolution = [module for module in tap.modules() if isinstance(module, Operator)][-1]
    return convolution.rows()


class _Slicer:
    """Teacher tensors restricted to kept channels; reading sides of linear layers get the lost channels folded in."""

    def __init__(self, kept: Kept, statistics: Statistics) -> None:
        self.kept, self._statistics = kept, statistics

    def gain(self, gamma: Tensor, site: str) -> Tensor:
        """A norm's gain for fewer channels: rescaled so that normalised values keep their typical size."""
        channels = self.kept[site]
        moments = self._statistics[site]
        square = moments.covariance.diagonal() + moments.mean.square()
        share = square[channels].sum() / square.sum().clamp_min(1e-300)
        return gamma[channels] * (share * len(square) / len(channels)).sqrt().to(gamma.dtype)

    def fold(self, weight_OI: Tensor, bias_O: Tensor, site: str) -> tuple[Tensor, Tensor]:
        """A linear layer that reads `site`, (O, I, ...), as one that reads the kept channels alone."""
        channels = self.kept[site]
        if len(channels) == weight_OI.shape[1]:
            return weight_OI, bias_O
        moments = self._statistics[site]
        rebuild = reconstruction(moments.covariance, channels).to(weight_OI.dtype)
        offset = (moments.mean - rebuild.double().T @ moments.mean[channels]).to(weight_OI.dtype)
        folded = torch.einsum("kc,oc...->ok...", rebuild, weight_OI)
        return folded, bias_O + weight_OI.flatten(2).sum(dim=2) @ offset


@torch.no_grad()
def _copy_weights(student: Decoder, teacher: Decoder, kept: Kept, statistics: Statistics) -> None:
    slicer = _Slicer(kept, statistics)
    spec = teacher.spec
    student.entry.load_state_dict(teacher.entry.state_dict())
    for name in spec.stages:
        stage: Any = student.stages[name]
        source: Any = teacher.stages[name]
        stream = f"{name}.stream"
        for b, (block, theirs) in enumerate(zip(stage.blocks, source.blocks, strict=True)):
            reads = way_in(spec, name) if b == 0 else stream
            _copy_block(block, theirs, slicer, reads, inner(name, b), stream)
        if stage.attention is not None:
            stage.attention.load_state_dict(source.attention.state_dict())
        if stage.upsampler is not None:
            _copy_upsampler(stage.upsampler, source.upsampler, slicer, stream, way_out(spec, name))
    last = way_out(spec, list(spec.stages)[-1])
    head: Any = student.head
    original: Any = teacher.head
    head.norm.gamma.copy_(slicer.gain(original.norm.gamma, last))
    _copy_operator(head.conv, original.conv, list(range(spec.out_channels)), kept[last])


def _copy_block(block: Any, original: Any, slicer: _Slicer, reads: str, middle: str, writes: str) -> None:
    kept = slicer.kept
    block.norm1.gamma.copy_(slicer.gain(original.norm1.gamma, reads))
    _copy_operator(block.conv1, original.conv1, kept[middle], kept[reads])
    block.norm2.gamma.copy_(slicer.gain(original.norm2.gamma, middle))
    _copy_operator(block.conv2, original.conv2, kept[writes], kept[middle])
    if hasattr(original.shortcut, "weight"):
        weight, bias = slicer.fold(original.shortcut.weight, original.shortcut.bias, reads)
        block.shortcut.weight.copy_(weight[kept[writes]])
        block.shortcut.bias.copy_(bias[kept[writes]])


def _copy_upsampler(upsampler: Any, original: Any, slicer: _Slicer, reads: str, writes: str) -> None:
    if upsampler.time_conv is not None:
        weight, bias = slicer.fold(original.time_conv.weight, original.time_conv.bias, reads)
        channels = slicer.kept[reads]
        halves = channels + [c + original.time_conv.weight.shape[1] for c in channels]
        upsampler.time_conv.weight.copy_(weight[halves])
        upsampler.time_conv.bias.copy_(bias[halves])
    weight, bias = slicer.fold(original.conv.weight, original.conv.bias, reads)
    upsampler.conv.weight.copy_(weight[slicer.kept[writes]])
    upsampler.conv.bias.copy_(bias[slicer.kept[writes]])


def _copy_operator(target: Operator, source: Operator, rows: list[int], columns: list[int]) -> None:
    """Slice a convolution; a dense one also starts any other operator."""
    if not isinstance(source, Conv3d):
        if type(target) is not type(source) or (len(rows), len(columns)) != (source.out_channels, source.in_channels):
            raise ValueError(f"only a dense conv3d can be sliced or replaced, not {type(source).__name__}")
        target.load_state_dict(source.state_dict())
        return
    target.from_dense(source.weight[rows][:, columns], source.bias[rows])
