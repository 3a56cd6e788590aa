"""The residual block of Wan and LTX-Video: two convolutions, each behind a norm and SiLU, and a path around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.operators import Operator
from flash_vaed.operators.base import Index, at
from flash_vaed.pruning.layers.base import LAYERS, Clip, Cut, LayerKind, Read, rebuilt, store
from flash_vaed.pruning.regression import Regression, fit_gain, solve
from flash_vaed.state import Stream


class _Lesson(NamedTuple):
    """What the teacher's block has at the sampled positions of a clip, kept channels only: (P, C) each."""

    positions: Index
    normed1: Tensor
    inside: Tensor
    normed2: Tensor
    out: Tensor


@LAYERS.register("flash_vaed.families.blocks.ResidualBlock")
class Residual(LayerKind):
    inner = "conv1"

    def ties(self, block: Any) -> bool:
        return isinstance(block.shortcut, nn.Identity)

    def last(self, block: Any) -> Operator:
        return block.conv2

    def writers(self, block: Any) -> dict[str, Tensor]:
        return {"inner": block.conv1.rows(), **super().writers(block)}

    def reads(self, block: Any) -> dict[str, Read]:
        return {
            "reads": Read("conv1", block.conv1.rows(), getattr(block.norm1, "gamma", None)),
            "inner": Read("conv2", block.conv2.rows(), getattr(block.norm2, "gamma", None)),
        }

    def observed(self, block: Any) -> tuple[str, ...]:
        return ("conv1", "conv2", *(["shortcut.conv"] if hasattr(block.shortcut, "norm") else []))

    def cut(self, block: Any, original: Any, cut: Cut) -> None:
        cut.gain(block.norm1, original.norm1, cut.reads, cut.before)
        cut.operator(block.conv1, original.conv1, cut.inner, cut.reads, cut.reaching("conv1"))
        cut.gain(block.norm2, original.norm2, cut.inner, cut.statistics[f"{cut.path}.conv1"])
        cut.operator(block.conv2, original.conv2, cut.writes, cut.inner, cut.reaching("conv2"))
        if not isinstance(original.shortcut, nn.Identity):
            _cut_projection(block.shortcut, original.shortcut, cut)
        elif not isinstance(block.shortcut, nn.Identity):
            _cut_identity(block.shortcut, cut)

    def refit(self, block: Any, original: Any, cut: Cut, clips: list[Clip], sample: Callable[[Tensor], Index]) -> None:
        lessons = [_teach(original, clip, cut, sample) for clip in clips]
        pairs = list(zip(clips, lessons, strict=True))
        fit_gain(block.norm1, [(clip.x, taught.positions, taught.normed1) for clip, taught in pairs])
        solve(block.conv1, ((block.norm1.then_silu(clip.x), taught.positions, taught.inside) for clip, taught in pairs))
        fit_gain(block.norm2, ((_inside(block, clip.x), taught.positions, taught.normed2) for clip, taught in pairs))
        _solve_end(block, pairs)
        for clip in clips:
            clip.x = block(clip.x, Stream.fresh())


def _teach(original: Any, clip: Clip, cut: Cut, sample: Callable[[Tensor], Index]) -> _Lesson:
    """Run the teacher's block, keep what it has at sampled positions, and move its side of the clip behind it."""
    x = clip.x_teacher
    normed1 = original.norm1(x)
    inside = original.conv1(F.silu(normed1), Stream.fresh())
    normed2 = original.norm2(inside)
    clip.x_teacher = original.conv2(F.silu(normed2), Stream.fresh()) + original.shortcut(x)
    index = sample(x)
    kept = ((normed1, cut.reads), (inside, cut.inner), (normed2, cut.inner), (clip.x_teacher, cut.writes))
    return _Lesson(index, *(at(values, index)[:, channels] for values, channels in kept))


def _inside(block: Any, x: Tensor) -> Tensor:
    """What the first convolution writes."""
    return block.conv1(block.norm1.then_silu(x), Stream.fresh())


def _solve_end(block: Any, pairs: list[tuple[Clip, _Lesson]]) -> None:
    """conv2 and the path around it add up: a projection is solved with it, an identity is taken off its target."""
    _, linear = _parts(block.shortcut)
    if linear is None:
        rest = (
            (_behind(block, clip.x), taught.positions, taught.out - at(clip.x, taught.positions))
            for clip, taught in pairs
        )
        solve(block.conv2, rest)
        return
    samples = (
        (_behind(block, clip.x), _through(block.shortcut, clip.x), taught.positions, taught.out)
        for clip, taught in pairs
    )
    solve_with_projection(block.conv2, linear, samples)


def solve_with_projection(
    operator: Operator, linear: Any, samples: Iterable[tuple[Tensor, Tensor, Index, Tensor]]
) -> None:
    """Solve a convolution and the 1x1x1 one beside it for the sum of both; the bias goes to the first.

    samples: per clip what reaches the first, what reaches the second, positions, targets (P, O) there.
    """
    G, split, _ = operator.theta().shape
    around = linear.weight.detach().flatten(1).unflatten(0, (G, -1)).transpose(1, 2)
    regression = Regression(torch.cat([operator.theta(), around], dim=1))
    for x_NCTHW, beside_NCTHW, index, target_PO in samples:
        through = at(beside_NCTHW, index).expand(G, -1, -1)
        regression.add(torch.cat([operator.columns(x_NCTHW, index), through], dim=2), target_PO)
    theta, bias = regression.solve()
    operator.write(theta[:, :split], bias)
    store(linear, theta[:, split:].transpose(1, 2), torch.zeros_like(linear.bias))


def _behind(block: Any, x: Tensor) -> Tensor:
    """What reaches the second convolution."""
    return block.norm2.then_silu(_inside(block, x))


def _through(shortcut: Any, x: Tensor) -> Tensor:
    """What reaches the 1x1x1 convolution of a projecting path."""
    norm, _ = _parts(shortcut)
    return x if norm is None else shortcut.normed(x)


def _parts(shortcut: Any) -> tuple[Any, Any]:
    """The layer norm (LTX's projections have one) and the 1x1x1 convolution of a path, None for what it lacks."""
    if isinstance(shortcut, nn.Identity):
        return None, None
    return (shortcut.norm, shortcut.conv) if hasattr(shortcut, "norm") else (None, shortcut)


def _cut_projection(shortcut: Any, original: Any, cut: Cut) -> None:
    (norm, linear), (theirs, source) = _parts(shortcut), _parts(original)
    if norm is not None:
        norm.weight.copy_(theirs.weight[cut.reads])
        norm.bias.copy_(theirs.bias[cut.reads])
    moments = cut.before if norm is None else cut.reaching("shortcut.conv")
    store(linear, *cut.linear(source.weight, source.bias, cut.writes, cut.reads, moments))


def _cut_identity(shortcut: Any, cut: Cut) -> None:
    """A projection in place of an identity: each channel written is rebuilt from those read, or copied where it is one.

    Behind a layer norm this is a start only: the norm takes the scale of every position away.
    """
    moments = cut.before
    weights, offset = rebuilt(moments, cut.reads)
    if not cut.fold:
        weights, offset = torch.eye(len(offset), dtype=weights.dtype)[cut.reads], torch.zeros_like(offset)
    weights, offset = weights[:, cut.writes], offset[cut.writes]
    norm, linear = _parts(shortcut)
    if norm is not None:
        kept = cut.reads
        spread = moments.covariance.diagonal()[kept].mean() + moments.mean[kept].var(correction=0)
        offset = offset + weights.T @ moments.mean[kept].mean().expand(len(kept))
        weights = weights * spread.sqrt()
    store(linear, weights.T, offset)
