"""The ends of a decoder: the entry, whose rows are sliced and exact, and the head, which writes every pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from flash_vaed.operators import Operator
from flash_vaed.operators.base import Index, at
from flash_vaed.pruning.layers.base import LAYERS, Clip, Cut, LayerKind, Read, store
from flash_vaed.pruning.regression import fit_gain, solve
from flash_vaed.state import Stream


@LAYERS.register("flash_vaed.operators.conv3d.Conv3d")
class LtxEntry(LayerKind):
    """A convolution of the latent and nothing else."""

    def last(self, layer: Any) -> Operator:
        return layer

    def cut(self, layer: Any, original: Any, cut: Cut) -> None:
        theirs: Any = self.last(original)
        store(self.last(layer), theirs.weight[cut.writes], theirs.bias[cut.writes])


@LAYERS.register("flash_vaed.families.wan.Entry")
class WanEntry(LtxEntry):
    """A mix of the latent's channels, then a convolution."""

    def last(self, layer: Any) -> Operator:
        return layer.conv

    def cut(self, layer: Any, original: Any, cut: Cut) -> None:
        layer.latent_mix.load_state_dict(original.latent_mix.state_dict())
        super().cut(layer, original, cut)


@LAYERS.register("flash_vaed.families.wan.Head")
@LAYERS.register("flash_vaed.families.ltx.Head")
class Head(LayerKind):
    """Norm, SiLU, convolution to pixels."""

    def reads(self, layer: Any) -> dict[str, Read]:
        return {"reads": Read("conv", layer.conv.rows(), getattr(layer.norm, "gamma", None))}

    def cut(self, layer: Any, original: Any, cut: Cut) -> None:
        cut.gain(layer.norm, original.norm, cut.reads, cut.before)
        cut.operator(layer.conv, original.conv, list(range(layer.conv.out_channels)), cut.reads, cut.reaching("conv"))

    def refit(self, layer: Any, original: Any, cut: Cut, clips: list[Clip], sample: Callable[[Tensor], Index]) -> None:
        gains, pixels = [], []
        for clip in clips:
            normed = original.norm(clip.x_teacher)
            written = original.conv(F.silu(normed), Stream.fresh())
            index = sample(written)
            gains.append((clip.x, index, at(normed, index)[:, cut.reads]))
            pixels.append((clip, index, at(written, index)))
        fit_gain(layer.norm, gains)
        solve(layer.conv, ((layer.norm.then_silu(clip.x), index, target) for clip, index, target in pixels))
