"""Encoders of other people's checkpoints: diffusers' own classes around the weights, deterministic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class DiffusersEncoder(nn.Module):
    """(N, 3, T, H, W) in [-1, 1] -> raw latents (N, C, t, h, w), the posterior's mode."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        return self.vae.encode(x_NCTHW).latent_dist.mode()


def encoder_of(layout: str, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> nn.Module | None:
    """The encoder in a checkpoint of this layout; None where the layout, or this file, has none.

    A missing or misshapen tensor of the encoder is a `ValueError`. diffusers is imported here and nowhere else.
    """
    if layout not in _BUILDERS or not any(key.startswith("encoder.") for key in weights):
        return None
    vae, tensors = _BUILDERS[layout](weights, config)
    for name in ("encoder", "quant_conv"):
        part = getattr(vae, name, None)
        own = {k.removeprefix(f"{name}."): v.float() for k, v in tensors.items() if k.startswith(f"{name}.")}
        if part is not None:
            try:
                part.load_state_dict(own, strict=True, assign=True)
            except RuntimeError as error:
                raise ValueError(f"its {name} does not fit: {' '.join(str(error).split())[:300]}") from error
    keep_encoder(vae)
    return DiffusersEncoder(vae).eval().requires_grad_(False)


def keep_encoder(vae: Any) -> None:
    """Take away what encoding does not use. The decoder is ours, from the same file; theirs was never allocated."""
    for name, _ in list(vae.named_children()):
        if name not in ("encoder", "quant_conv"):
            setattr(vae, name, None)
    for name, _ in list(vae.named_buffers(recurse=False)):
        delattr(vae, name)


def _wan(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> tuple[Any, Mapping[str, Tensor]]:
    from diffusers import AutoencoderKLWan

    with torch.device("meta"):
        return AutoencoderKLWan.from_config(dict(config)), weights


def _wan_original(weights: Mapping[str, Tensor], _config: Mapping[str, Any]) -> tuple[Any, Mapping[str, Tensor]]:
    from diffusers import AutoencoderKLWan
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    with torch.device("meta"):
        vae = AutoencoderKLWan(base_dim=len(weights["encoder.conv1.weight"]), z_dim=weights["conv2.weight"].shape[0])
    return vae, convert_wan_vae_to_diffusers(dict(weights))


def _ltx(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> tuple[Any, Mapping[str, Tensor]]:
    from diffusers import AutoencoderKLLTXVideo

    with torch.device("meta"):
        return AutoencoderKLLTXVideo.from_config(dict(config)), weights


def _exported(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> tuple[Any, Mapping[str, Tensor]]:
    import diffusers

    theirs = config["encoder_config"]
    with torch.device("meta"):
        vae = getattr(diffusers, theirs["_class_name"]).from_config(dict(theirs))
    return vae, {key.removeprefix("encoder."): value for key, value in weights.items() if key.startswith("encoder.")}


_BUILDERS = {"wan_diffusers": _wan, "wan_original": _wan_original, "ltx_diffusers": _ltx, "exported": _exported}
