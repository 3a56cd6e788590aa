"""Wan's own files: `Wan2.1_VAE.pth`, `Wan2.2_VAE.pth`, LightVAE (the same graph, narrower) and `Flash_VAED_Wan.pth`.

The up path is one Sequential, in which a resampling module ends a stage; in Wan 2.2 a Sequential per stage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from flash_vaed.layouts.base import LAYOUTS, Layout, Weights, has, replaced
from flash_vaed.layouts.wan import wan_decoder
from flash_vaed.spec import DecoderSpec

_PARTS = [
    ("residual.0.", "norm1."), ("residual.2.", "conv1."), ("residual.3.", "norm2."), ("residual.6.", "conv2."),
    ("depthwise_conv.", "depthwise_"), ("pointwise_conv.", "pointwise_"), ("resample.1.", "conv."),
]  # fmt: skip
_ENDS = [
    ("conv2.", "entry.latent_mix."), ("decoder.conv1.", "entry.conv."), ("decoder.head.0.", "head.norm."),
    ("decoder.head.2.", "head.conv."), ("decoder.middle.0.", "stages.mid.blocks.0."),
    ("decoder.middle.1.", "stages.mid.attention."), ("decoder.middle.2.", "stages.mid.blocks.1."),
]  # fmt: skip
_UP = re.compile(r"decoder\.upsamples\.(\d+)\.(?:upsamples\.(\d+)\.)?(.+)")


@LAYOUTS.register("wan_original")
class WanOriginal(Layout):
    title = "Wan's own (Wan2.1_VAE.pth, LightVAE, Flash_VAED_Wan.pth)"

    @staticmethod
    def matches(weights: Weights) -> bool:
        return "decoder.middle.0.residual.0.gamma" in weights

    @staticmethod
    def read(weights: Weights, config: Mapping[str, Any]) -> tuple[DecoderSpec, dict[str, Tensor]]:
        places = _places(weights)
        kept = {key: value for key, value in weights.items() if not key.startswith(("encoder.", "conv1."))}
        renamed = {_own_name(key, places): value for key, value in kept.items()}
        residual = has(weights, "decoder.upsamples.0.upsamples.")
        return wan_decoder(_fold_separable_shortcuts(renamed), config, residual)


def _places(weights: Weights) -> dict[tuple[int, int], str]:
    """Where each module of the up path belongs: (outer, inner index) -> stages.upI.blocks.J or stages.upI.upsampler."""
    found = [match for match in map(_UP.fullmatch, weights) if match]
    modules = {(int(m[1]), int(m[2] or 0)): False for m in found}
    for m in found:
        modules[int(m[1]), int(m[2] or 0)] |= m[3].startswith(("resample.", "time_conv."))
    nested = any(m[2] for m in found)
    places, stage, block = {}, 0, 0
    for outer, inner in sorted(modules):
        if nested and outer > stage:
            stage, block = outer, 0
        if modules[outer, inner]:
            places[outer, inner] = f"stages.up{stage}.upsampler."
            stage, block = stage + (not nested), 0
        else:
            places[outer, inner] = f"stages.up{stage}.blocks.{block}."
            block += 1
    return places


def _own_name(key: str, places: Mapping[tuple[int, int], str]) -> str:
    up = _UP.fullmatch(key)
    if up:
        return places[int(up[1]), int(up[2] or 0)] + replaced(up[3], _PARTS)
    for theirs, ours in _ENDS:
        if key.startswith(theirs):
            return ours + replaced(key.removeprefix(theirs), _PARTS)
    return key


def _fold_separable_shortcuts(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A factor and an offset per channel in front of a 1x1x1 convolution are part of that convolution."""
    folded = dict(weights)
    for key in weights:
        if not key.endswith("shortcut.depthwise_weight"):
            continue
        path = key.removesuffix("depthwise_weight")
        factor, offset = folded.pop(key).flatten().double(), folded.pop(f"{path}depthwise_bias").double()
        mix, bias = folded.pop(f"{path}pointwise_weight").double(), folded.pop(f"{path}pointwise_bias").double()
        folded[f"{path}weight"] = (mix * factor.view(1, -1, 1, 1, 1)).float()
        folded[f"{path}bias"] = (bias + mix.flatten(1) @ offset).float()
    return folded
