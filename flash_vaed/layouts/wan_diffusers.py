"""diffusers' `AutoencoderKLWan`: Wan 2.1 at any width, and Wan 2.2 (residual up blocks, patched pixels)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from flash_vaed.layouts.base import LAYOUTS, Layout, Weights, has, replaced
from flash_vaed.layouts.wan import wan_decoder
from flash_vaed.spec import DecoderSpec

_NAMES = [
    ("post_quant_conv.", "entry.latent_mix."), ("decoder.conv_in.", "entry.conv."),
    ("decoder.norm_out.", "head.norm."), ("decoder.conv_out.", "head.conv."),
    ("decoder.mid_block.attentions.0.", "stages.mid.attention."), ("decoder.mid_block.", "stages.mid."),
    ("decoder.up_blocks.", "stages.up"), ("resnets.", "blocks."), ("conv_shortcut.", "shortcut."),
    ("upsamplers.0.", "upsampler."), ("resample.1.", "conv."),
]  # fmt: skip


@LAYOUTS.register("wan_diffusers")
class WanDiffusers(Layout):
    title = "diffusers' AutoencoderKLWan"

    @staticmethod
    def matches(weights: Weights) -> bool:
        return "decoder.mid_block.attentions.0.to_qkv.weight" in weights

    @staticmethod
    def read(weights: Weights, config: Mapping[str, Any]) -> tuple[DecoderSpec, dict[str, Tensor]]:
        kept = {key: value for key, value in weights.items() if not key.startswith(("encoder.", "quant_conv."))}
        residual = has(weights, "decoder.up_blocks.0.upsampler.")  # of Wan 2.1: upsamplers.0.
        return wan_decoder({own_name(key): value for key, value in kept.items()}, config, residual)


def own_name(key: str) -> str:
    """Under which name this project has a parameter of diffusers' VAE."""
    return replaced(key, _NAMES)
