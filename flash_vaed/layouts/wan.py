"""What the layouts of Wan decoders share: the latent space, and the spec of weights under this project's names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from flash_vaed.families.wan import WAN21_LATENTS, WAN22_LATENTS
from flash_vaed.layouts.base import has, stage_plan
from flash_vaed.spec import DecoderSpec, FrozenMapping, LatentSpace


def wan_decoder(
    weights: dict[str, Tensor], config: Mapping[str, Any], residual: bool
) -> tuple[DecoderSpec, dict[str, Tensor]]:
    """Spec and tidied weights, from weights under this project's names. residual: Wan 2.2's up stages."""
    weights = {key: _tidy(key, value) for key, value in weights.items()}
    ups = len({key.split(".")[1] for key in weights if key.startswith("stages.up")})
    stages = {"mid": stage_plan(weights, "mid")}
    for i in range(ups):
        upsampler = f"stages.up{i}.upsampler."
        told: dict[str, Any] = {}
        if has(weights, upsampler):
            told["upsample"] = "spatiotemporal" if has(weights, f"{upsampler}time_conv.") else "spatial"
            told["out_channels"] = len(weights[f"{upsampler}conv.weight"])
            told["skip"] = residual
        stages[f"up{i}"] = stage_plan(weights, f"up{i}", **told)
    pixels = len(weights["head.conv.bias"])
    latents = latent_space(weights["entry.conv.weight"].shape[1], config)
    spec = DecoderSpec("wan", latents, FrozenMapping(stages), patch=math.isqrt(pixels // 3))
    return spec, weights


def latent_space(channels: int, config: Mapping[str, Any]) -> LatentSpace:
    """Wan's published spaces by their number of channels; statistics in `config` make a space of their own."""
    known = {space.channels: space for space in (WAN21_LATENTS, WAN22_LATENTS)}.get(channels)
    if "latents_mean" not in config:
        if known is None:
            raise ValueError(f"the statistics of these {channels}-channel latents are not published; keep config.json")
        return known
    mean, std = (tuple(float(value) for value in config[f"latents_{name}"]) for name in ("mean", "std"))
    if len(mean) != channels:
        raise ValueError(f"the decoder takes {channels} latent channels, but latents_mean has {len(mean)} values")
    if known is not None and (mean, std) == (known.mean, known.std):
        return known
    return LatentSpace(f"wan-{channels}ch", mean, std)


def _tidy(key: str, value: Tensor) -> Tensor:
    """Gains as vectors, 1x1 projections as 1x1x1."""
    if key.endswith(".gamma"):
        return value.flatten()
    if key.endswith(".shortcut.weight"):
        return value.reshape(*value.shape[:2], 1, 1, 1)
    return value
