"""Refit changed layers in closed form, in execution order, each on what the student really sees.

One ridge regression per layer does channel reconstruction, the collapse of 3D kernels, error compensation and the bias
at once. Its target is the teacher's output at the same place, kept channels only; its prior is the sliced start, so a
layer with few samples stays near it. Frame 0 has no past and is left out of the fit.

Blocks are taken to have `norm1 conv1 norm2 conv2 shortcut`, stages `blocks attention upsampler`, as every family here
has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.decoder import Decoder
from flash_vaed.operators.base import Index, Operator, at, sample_positions
from flash_vaed.pruning.sites import inner, way_in, way_out
from flash_vaed.state import Stream

POSITIONS = 12288  # samples per regression
RIDGE = 1e-3  # pull towards the sliced start, relative to the mean regressor variance


@torch.no_grad()
def refit(
    student: Decoder, teacher: Decoder, kept: Mapping[str, list[int]], latents: Sequence[Tensor], seed: int = 0
) -> None:
    """Refit, in place, every convolution of `student` whose operator or width differs from the teacher's."""
    z = torch.cat(list(latents))
    generator = torch.Generator().manual_seed(seed)
    x = x_teacher = teacher.entry(z, Stream.fresh())
    for name, stage in student.stages.items():
        taps, out_teacher = _tapped(teacher.stages[name], x_teacher)
        same_width = student.spec.width_in(name) == teacher.spec.width_in(name)
        if student.spec.stages[name] == teacher.spec.stages[name] and same_width:
            x = stage(x, Stream.fresh())
        else:
            x = _refit_stage(name, stage, x, teacher, x_teacher, taps, kept, generator)
        x_teacher = out_teacher
    last = kept[way_out(teacher.spec, list(teacher.spec.stages)[-1])]
    if len(last) < x_teacher.shape[1]:
        head: Any = student.head
        original: Any = teacher.head
        _match_gain(head.norm, x, original.norm, x_teacher, last)
        target = original(x_teacher, Stream.fresh())
        solve(head.conv, F.silu(head.norm(x)), target, _positions(target, generator))


def _refit_stage(
    name: str,
    stage: Any,
    x: Tensor,
    teacher: Decoder,
    x_teacher: Tensor,
    taps: dict[str, Tensor],
    kept: Mapping[str, list[int]],
    generator: torch.Generator,
) -> Tensor:
    source: Any = teacher.stages[name]
    stream = kept[f"{name}.stream"]
    for b, (block, original) in enumerate(zip(stage.blocks, source.blocks, strict=True)):
        reads, middle = kept[way_in(teacher.spec, name)] if b == 0 else stream, kept[inner(name, b)]
        inside, behind = taps[f"blocks.{b}.conv1"], taps[f"blocks.{b}"]
        index = _positions(behind, generator)
        if not (_equal(block, original) and torch.equal(x, x_teacher)):  # else there is nothing to fit
            _match_gain(block.norm1, x, original.norm1, x_teacher, reads)
            _refit_block(block, original, x, inside, middle, behind[:, stream], index)
        x, x_teacher = block(x, Stream.fresh()), behind
        if b == 0 and stage.attention is not None:
            x, x_teacher = stage.attention(x), taps["attention"]
    if stage.upsampler is None:
        return x
    writes = kept[way_out(teacher.spec, name)]
    if (len(stream), len(writes)) != (source.upsampler.conv.in_channels, source.upsampler.conv.out_channels):
        enlarged = stage.upsampler.enlarge(x, Stream.fresh())
        target = taps["upsampler"][:, writes]
        solve(stage.upsampler.conv, enlarged, target, _positions(target, generator))
    return stage.upsampler(x, Stream.fresh())


def _refit_block(
    block: Any, original: Any, x: Tensor, inside: Tensor, middle: list[int], target: Tensor, index: Index
) -> None:
    activated = F.silu(block.norm1(x))
    solve(block.conv1, activated, inside[:, middle], index)
    y = block.conv1(activated, Stream.fresh())
    _match_gain(block.norm2, y, original.norm2, inside, middle)
    activated = F.silu(block.norm2(y))
    if isinstance(block.shortcut, nn.Identity):
        solve(block.conv2, activated, target - x, index)
    else:
        _solve_with_shortcut(block, activated, x, target, index)


def solve(operator: Operator, x_NCTHW: Tensor, target_NOTHW: Tensor, index: Index) -> None:
    """Write the ridge solution of columns(x) -> target at the sampled positions into `operator`."""
    theta, bias = ridge(operator.columns(x_NCTHW, index), at(target_NOTHW, index), operator.theta())
    operator.write(theta, bias)


def _solve_with_shortcut(block: Any, activated: Tensor, x: Tensor, target: Tensor, index: Index) -> None:
    """conv2 and the 1x1x1 shortcut add up, so they are solved together."""
    columns, shortcut = block.conv2.columns(activated, index), block.shortcut.weight
    groups, _, split = columns.shape
    through = at(x, index).expand(groups, -1, -1)
    prior = torch.cat([block.conv2.theta(), shortcut.flatten(1).unflatten(0, (groups, -1)).transpose(1, 2)], dim=1)
    theta, bias = ridge(torch.cat([columns, through], dim=2), at(target, index), prior)
    block.conv2.write(theta[:, :split], bias)
    shortcut.copy_(theta[:, split:].transpose(1, 2).reshape(shortcut.shape))
    block.shortcut.bias.zero_()


def ridge(columns_GPK: Tensor, target_PO: Tensor, prior_GKO: Tensor, strength: float = RIDGE) -> tuple[Tensor, Tensor]:
    """theta (G, K, O // G) and bias (O,) that minimise the squared error plus `strength` times the distance to `prior`.

    Every group of output channels is solved from its own columns. Centred in float32, solved in float64.
    """
    target_GPO = target_PO.unflatten(1, (len(columns_GPK), -1)).transpose(0, 1)
    column_mean, target_mean = columns_GPK.mean(dim=1, keepdim=True), target_GPO.mean(dim=1, keepdim=True)
    columns, target = columns_GPK - column_mean, target_GPO - target_mean
    gram = (columns.mT @ columns / len(target_PO)).double()
    missed = (columns.mT @ (target - columns @ prior_GKO) / len(target_PO)).double()  # a right prior stays exact
    diagonal = gram.diagonal(dim1=1, dim2=2)
    diagonal.add_(strength * diagonal.mean(dim=1, keepdim=True) + 1e-12)
    theta = (prior_GKO.double() + torch.linalg.solve(gram, missed)).to(prior_GKO.dtype)
    return theta, (target_mean - column_mean @ theta).flatten()


def _match_gain(norm: Any, x: Tensor, original: Any, x_teacher: Tensor, channels: list[int]) -> None:
    """The gain per channel that brings the student's normalised values closest to the teacher's."""
    target = original(x_teacher)[:, channels]
    value = norm.unit(x)
    axes = (0, 2, 3, 4)
    norm.gamma.copy_((value * target).sum(axes) / value.square().sum(axes).clamp_min(1e-12))


def _equal(module: nn.Module, other: nn.Module) -> bool:
    """Whether two modules hold the same tensors under the same names."""
    ours, theirs = module.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def _tapped(stage: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Outputs of every block, first convolution, attention and upsampler of a teacher stage, and of the stage."""
    taps: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, output, path=path: taps.__setitem__(path, output))
        for path, module in stage.named_modules()
        if path in ("attention", "upsampler") or path.endswith("conv1") or path.removeprefix("blocks.").isdigit()
    ]
    try:
        return taps, stage(x, Stream.fresh())
    finally:
        for hook in hooks:
            hook.remove()


def _positions(like_NCTHW: Tensor, generator: torch.Generator) -> Index:
    return sample_positions(like_NCTHW.shape, POSITIONS, generator)
