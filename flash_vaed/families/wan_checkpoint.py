"""Where the weights of a Wan decoder lie in other people's checkpoints, and what spec they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from flash_vaed.families.wan import wan_spec
from flash_vaed.spec import DecoderSpec, LatentSpace


def spec_from_diffusers(config: Mapping[str, Any]) -> DecoderSpec:
    """The spec of diffusers' `AutoencoderKLWan` with this `config.json`.

    Wan 2.2 layouts (residual up blocks, patched pixels) are a `ValueError`.
    """
    if config.get("is_residual") or config.get("patch_size"):
        raise ValueError(
            "this AutoencoderKLWan has Wan 2.2's residual up blocks or patched output; only Wan 2.1's layout is read"
        )
    means = len(config["latents_mean"])
    if means != config["z_dim"]:
        raise ValueError(f"z_dim is {config['z_dim']}, but latents_mean has {means} values")
    name = "wan2.1" if config["z_dim"] == 16 else f"wan-{config['z_dim']}ch"
    return wan_spec(
        base_channels=config.get("decoder_base_dim") or config["base_dim"],
        multipliers=tuple(config["dim_mult"]),
        blocks_per_stage=config["num_res_blocks"] + 1,
        time_upsample=tuple(reversed(config["temperal_downsample"])),
        latents=LatentSpace(name, tuple(config["latents_mean"]), tuple(config["latents_std"])),
    )


def weights_from_diffusers(weights: Mapping[str, Tensor], spec: DecoderSpec) -> dict[str, Tensor]:
    """Decoder weights under this project's names. Other keys than the decoder's are dropped, unknown ones kept."""
    renamed = {}
    for key, value in weights.items():
        if key.startswith(("encoder.", "quant_conv.")):
            continue
        name = _own_name(key)
        renamed[name] = value.flatten() if name.endswith("gamma") else value
    return renamed


_PREFIXES = {
    "post_quant_conv.": "entry.latent_mix.",
    "decoder.conv_in.": "entry.conv.",
    "decoder.mid_block.resnets.": "stages.mid.blocks.",
    "decoder.mid_block.attentions.0.": "stages.mid.attention.",
    "decoder.norm_out.": "head.norm.",
    "decoder.conv_out.": "head.conv.",
}


def _own_name(key: str) -> str:
    for theirs, ours in _PREFIXES.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs).replace("conv_shortcut.", "shortcut.")
    if key.startswith("decoder.up_blocks."):
        number, part = key.removeprefix("decoder.up_blocks.").split(".", 1)
        part = part.replace("resnets.", "blocks.").replace("conv_shortcut.", "shortcut.")
        part = part.replace("upsamplers.0.resample.1.", "upsampler.conv.").replace("upsamplers.0.", "upsampler.")
        return f"stages.up{number}.{part}"
    return key
