"""Wan's upsampler: a causal convolution over time that doubles the frames, nearest pixels, a 3x3 convolution.

All of it is linear, so lost channels fold into it with no other error than their own reconstruction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from flash_vaed.operators.base import Index, at, patches
from flash_vaed.pruning.layers.base import LAYERS, Clip, Cut, LayerKind, Read, store
from flash_vaed.pruning.regression import Regression, solve
from flash_vaed.state import Stream


@LAYERS.register("flash_vaed.families.wan.Upsampler")
class WanUpsampler(LayerKind):
    def reads(self, layer: Any) -> dict[str, Read]:
        first = layer.conv if layer.time_conv is None else layer.time_conv
        return {"reads": Read("", first.weight.detach(), None)}

    def observed(self, layer: Any) -> tuple[str, ...]:
        return ("conv",)

    def cut(self, layer: Any, original: Any, cut: Cut) -> None:
        if layer.time_conv is not None:
            theirs = original.time_conv
            halves = _halves(theirs, cut.reads)
            store(layer.time_conv, *cut.linear(theirs.weight, theirs.bias, halves, cut.reads, cut.before))
        conv, reaching = original.conv, cut.reaching("conv")
        store(layer.conv, *cut.linear(conv.weight, conv.bias, cut.writes, cut.reads, reaching))

    def refit(self, layer: Any, original: Any, cut: Cut, clips: list[Clip], sample: Callable[[Tensor], Index]) -> None:
        if layer.time_conv is not None:
            _solve_time(layer.time_conv, original.time_conv, cut, clips, sample)
        pairs = []
        for clip in clips:
            clip.x_teacher = original(clip.x_teacher, Stream.fresh())
            index = sample(clip.x_teacher)
            pairs.append((clip, index, at(clip.x_teacher, index)[:, cut.writes]))
        solve(layer.conv, ((layer.enlarge(clip.x, Stream.fresh()), index, target) for clip, index, target in pairs))
        for clip in clips:
            clip.x = layer(clip.x, Stream.fresh())


def _halves(time_conv: Any, channels: list[int]) -> list[int]:
    """Rows of a convolution whose first and second half of outputs are two frames of the same channels."""
    return channels + [channel + time_conv.weight.shape[1] for channel in channels]


def _solve_time(time_conv: Any, original: Any, cut: Cut, clips: list[Clip], sample: Callable[[Tensor], Index]) -> None:
    """The first frame passes by this convolution, which never sees it; a clip of one frame says nothing."""
    regression = Regression(time_conv.weight.detach().flatten(1).T.unsqueeze(0))
    for clip in clips:
        rest, rest_teacher = clip.x[:, :, 1:], clip.x_teacher[:, :, 1:]
        if rest.shape[2]:
            index = sample(rest)
            theirs = patches(rest_teacher, index, (3, 1, 1)) @ original.weight.flatten(1).T + original.bias
            regression.add(patches(rest, index, (3, 1, 1)).unsqueeze(0), theirs[:, _halves(original, cut.reads)])
    if regression.count:
        theta, bias = regression.solve()
        store(time_conv, theta[0].T, bias)
