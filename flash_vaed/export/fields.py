"""What an exported `config.json` says: the decoder's spec, and what pipelines ask a VAE for.

diffusers sorts the keys of what it saves, and stages have an order: there they are a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flash_vaed.spec import DecoderSpec


def spec_to_config(spec: DecoderSpec) -> dict[str, Any]:
    """The spec as JSON whose keys may be sorted; `spec_from_config` is its inverse."""
    document = spec.to_json()
    return {**document, "stages": [{"name": name, **plan} for name, plan in document["stages"].items()]}


def spec_from_config(document: Mapping[str, Any]) -> DecoderSpec:
    """The spec that `spec_to_config` wrote; anything else is a `ValueError`."""
    try:
        stages = {plan["name"]: {k: v for k, v in plan.items() if k != "name"} for plan in document["stages"]}
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an exported decoder spec: {error}") from error
    return DecoderSpec.from_json({**document, "stages": stages})


def host_fields(spec: DecoderSpec) -> dict[str, Any]:
    """What pipelines read from the config of `AutoencoderKLWan` and `AutoencoderKLLTXVideo`; all of it follows from
    the spec.
    """
    return {
        "z_dim": spec.latents.channels,
        "latent_channels": spec.latents.channels,
        "latents_mean": list(spec.latents.mean),
        "latents_std": list(spec.latents.std),
        "scale_factor_temporal": spec.temporal_scale,
        "scale_factor_spatial": spec.spatial_scale,
        "out_channels": spec.out_channels,
        "patch_size": spec.patch if spec.patch > 1 else None,
        "patch_size_t": 1,
        "scaling_factor": 1.0,
        "timestep_conditioning": False,
    }
