"""diffusers' `AutoencoderKLLTXVideo` (LTX-Video 0.9.0), whose names the released `Flash_VAED_LTX.pth` has too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from flash_vaed.layouts.base import LAYOUTS, Layout, Weights, has, replaced, stage_plan
from flash_vaed.spec import DecoderSpec, FrozenMapping, LatentSpace

_NAMES = [
    ("decoder.conv_in.conv.", "entry."), ("decoder.conv_out.conv.", "head.conv."),
    ("decoder.mid_block.", "stages.mid."), ("decoder.up_blocks.", "stages.up"), ("resnets.", "blocks."),
    ("conv_in.", "entrance."), ("upsamplers.0.conv.", "upsampler.conv."), ("norm3.", "shortcut.norm."),
    ("conv_shortcut.", "shortcut.conv."), (".conv.conv.", ".conv."), ("conv1.conv.", "conv1."),
    ("conv2.conv.", "conv2."), ("depthwise.", "depthwise_"), ("pointwise.", "pointwise_"),
]  # fmt: skip
_UNKNOWN = {
    "scale_shift_table": "conditioned on a timestep (LTX-Video 0.9.1 and later)",
    "time_embedder": "conditioned on a timestep (LTX-Video 0.9.1 and later)",
    "per_channel_scale": "fed with noise in its blocks",
}
_PLAIN = {"upsample_residual": False, "upsample_factor": 1, "patch_size_t": 1, "timestep_conditioning": False}


@LAYOUTS.register("ltx_diffusers")
class LtxDiffusers(Layout):
    title = "diffusers' AutoencoderKLLTXVideo (LTX-Video 0.9.0, Flash_VAED_LTX.pth)"

    @staticmethod
    def matches(weights: Weights) -> bool:
        return "decoder.conv_in.conv.weight" in weights and has(weights, "decoder.mid_block.resnets.0.")

    @staticmethod
    def read(weights: Weights, config: Mapping[str, Any]) -> tuple[DecoderSpec, dict[str, Tensor]]:
        _refuse_unknown(weights, config)
        own = {}
        for key, value in weights.items():
            name = replaced(key, _NAMES)
            if not key.startswith(("encoder.", "latents_", "mean_of_means", "std_of_means")):
                own[name] = value.reshape(*value.shape[:2], 1, 1, 1) if name.endswith("shortcut.conv.weight") else value
        ups = len({key.split(".")[1] for key in own if key.startswith("stages.up")})
        stages = {name: _plan(own, name) for name in ["mid", *(f"up{i}" for i in range(ups))]}
        pixels, channels = len(own["head.conv.bias"]), own["entry.weight"].shape[1]
        spec = DecoderSpec(
            "ltx", _latent_space(weights, channels), FrozenMapping(stages), patch=math.isqrt(pixels // 3),
            time="causal_replicate" if config.get("decoder_causal") else "centred_replicate",
        )  # fmt: skip
        return spec, own


def _plan(weights: Weights, stage: str) -> Any:
    upsampled = has(weights, f"stages.{stage}.upsampler.")
    # the released student's depthwise convolutions look back, whatever the rest of the decoder does
    separable = has(weights, f"stages.{stage}.blocks.0.conv1.depthwise_")
    return stage_plan(
        weights,
        stage,
        upsample="spatiotemporal" if upsampled else "none",
        time="causal_replicate" if separable else None,
    )


def _latent_space(weights: Weights, channels: int) -> LatentSpace:
    """The statistics are buffers of the file."""
    if "latents_mean" not in weights or "latents_std" not in weights:
        raise ValueError(
            "latents_mean and latents_std are missing: the file does not say how its latents are normalised"
        )
    mean, std = (tuple(weights[f"latents_{name}"].tolist()) for name in ("mean", "std"))
    return LatentSpace("ltx-video" if channels == 128 else f"ltx-{channels}ch", mean, std)


def _refuse_unknown(weights: Weights, config: Mapping[str, Any]) -> None:
    for part, what in _UNKNOWN.items():
        if any(part in key for key in weights if key.startswith("decoder.")):
            raise ValueError(f"this LTX decoder is {what}; only the unconditioned decoder of 0.9.0 is read")
    for name, plain in _PLAIN.items():
        values = config.get(name, plain)
        if any(value != plain for value in (values if isinstance(values, (list, tuple)) else [values])):
            raise ValueError(f"this LTX decoder has {name} {values}; only {plain} is read")
