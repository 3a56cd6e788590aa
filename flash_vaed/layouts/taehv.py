"""madebyollin/taehv: `taew2_1.pth`, and `taew2_2.pth` with 48 latent channels and 2x2 pixels a position.

The decoder is one Sequential. Files for other models' 16-channel latents (`taehv.pth`, `taecvx.pth`) have the same keys
and shapes; weights cannot tell whose latents they take, and Wan's are assumed. A `config.json` beside the file with
`latents_mean` and `latents_std` says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from flash_vaed.layouts.base import LAYOUTS, Layout, Weights, replaced, stage_plan
from flash_vaed.layouts.wan import latent_space
from flash_vaed.spec import DecoderSpec, FrozenMapping

_CONVOLUTIONS = [("conv.0.", "conv1."), ("conv.2.", "conv2."), ("conv.4.", "conv3.")]


@LAYOUTS.register("taehv")
class TaehvLayout(Layout):
    title = "madebyollin's TAEHV (taew2_1.pth)"

    @staticmethod
    def matches(weights: Weights) -> bool:
        return "decoder.1.weight" in weights and "decoder.3.conv.0.weight" in weights

    @staticmethod
    def read(weights: Weights, config: Mapping[str, Any]) -> tuple[DecoderSpec, dict[str, Tensor]]:
        places = _places(weights)
        kept = {key: value for key, value in weights.items() if not key.startswith("encoder.")}
        own = {_own_name(key, places): value for key, value in kept.items()}
        ups = len({key.split(".")[1] for key in own if key.startswith("stages.up")})
        stages = {f"up{i}": _plan(own, f"up{i}") for i in range(ups)}
        patch = math.isqrt(len(own["head.conv.bias"]) // 3)
        for name in ("head.conv.weight", "head.conv.bias"):
            own[name] = _rows_faster(own[name], patch)
        latents = latent_space(own["entry.conv.weight"].shape[1], config)
        return DecoderSpec("taehv", latents, FrozenMapping(stages), patch=patch), own


def _places(weights: Weights) -> dict[str, str]:
    """Where each numbered module of the Sequential belongs: decoder.N. -> its path here."""
    names = {key.split(".")[1] for key in weights if key.startswith("decoder.")}
    numbers = sorted(int(name) for name in names if name.isdigit())
    places, stage, block = {}, 0, 0
    for number in numbers:
        theirs = f"decoder.{number}."
        if number in (numbers[0], numbers[-1]):
            places[theirs] = "entry.conv." if number == numbers[0] else "head.conv."
        elif f"{theirs}conv.0.weight" in weights:
            places[theirs] = f"stages.up{stage}.blocks.{block}."
            block += 1
        elif f"{theirs}conv.weight" in weights:
            places[theirs] = f"stages.up{stage}.upsampler.grow."
        else:
            places[theirs] = f"stages.up{stage}.upsampler.conv."
            stage, block = stage + 1, 0
    return places


def _own_name(key: str, places: Mapping[str, str]) -> str:
    for theirs, ours in places.items():
        if key.startswith(theirs):
            rest = key.removeprefix(theirs)
            return ours + (rest.removeprefix("conv.") if ours.endswith("grow.") else replaced(rest, _CONVOLUTIONS))
    return key


def _plan(weights: Weights, stage: str) -> Any:
    grow, out = (weights[f"stages.{stage}.upsampler.{name}.weight"] for name in ("grow", "conv"))
    frames = len(grow) // grow.shape[1]
    kind = "spatiotemporal" if frames == 2 else "spatial"
    return stage_plan(weights, stage, upsample=kind, out_channels=len(out))


def _rows_faster(head: Tensor, patch: int) -> Tensor:
    """Output channels in this project's order of a patch's pixels; theirs counts columns faster."""
    return head.unflatten(0, (-1, patch, patch)).transpose(1, 2).flatten(0, 2)
