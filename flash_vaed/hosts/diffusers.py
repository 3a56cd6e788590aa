"""diffusers' `WanPipeline`, `LTXPipeline` and their image-to-video twins: the VAE exchanged, or only its decoder.

Pipelines denormalise before they call the VAE, which takes raw latents (N, C, t, h, w) and gives frames in [-1, 1].
The encoder stays theirs, weights and dtype: image-to-video needs it, and a decoder does not change what is encoded.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from flash_vaed.checkpoint import decoder_from
from flash_vaed.decoder import Decoder
from flash_vaed.encoders import keep_encoder
from flash_vaed.export.fields import spec_to_config
from flash_vaed.export.folder import modelling_code
from flash_vaed.hosts.base import (
    HostLatents,
    Replacement,
    check_device,
    check_fit,
    check_vacant,
    dtype_of,
    replaced_by,
    while_installed,
)
from flash_vaed.state import DecoderState

PARTS = ("vae", "decoder")


def install(pipe: Any, decoder: Decoder, part: str = "vae", chunk: int | None = 1) -> None:
    """Let `pipe` decode with `decoder`.

    part: "vae" puts a VAE around the decoder in the VAE's place, to be saved with the pipeline and read back. "decoder"
    exchanges the decoder inside diffusers' own VAE, whose tiling and slicing then go on working, and which decodes
    latent by latent. chunk: latents that a VAE of ours decodes at a time (None: all; always so where it looks ahead).
    The decoder's dtype may differ from the pipeline's. Another latent space or device, and a pipeline with offloading
    hooks or with a decoder installed already, are a `ValueError`.
    """
    if part not in PARTS:
        raise ValueError(f"part is one of {', '.join(PARTS)}, not {part!r}")
    vae = getattr(pipe, "vae", None)
    if vae is None or not hasattr(vae, "config"):
        raise ValueError(f"this {type(pipe).__name__} has no diffusers VAE to replace")
    check_vacant(_installed_part(pipe))
    if hasattr(vae, "_hf_hook"):
        raise ValueError("this pipeline offloads its models; install the decoder before enable_model_cpu_offload()")
    check_fit(latents_of(vae), decoder.spec)
    check_device(decoder, _device(vae), type(pipe).__name__)
    if part == "vae":
        ours = _vae_around(vae, decoder)
        ours.chunk = None if decoder.spec.looks_ahead else chunk
        pipe.register_modules(vae=ours)
    else:
        _exchange_decoder(vae, decoder)


def uninstall(pipe: Any) -> None:
    """Restore what `install` replaced, on the device where the pipeline is now. Nothing installed: a `ValueError`."""
    part, vae = _installed_part(pipe), pipe.vae
    theirs = replaced_by(part)
    if part is vae:
        pipe.register_modules(vae=theirs.to(_device(vae)))
    else:
        decoder, mix = theirs
        vae.decoder = decoder.to(_device(part))
        if mix is not None:
            vae.post_quant_conv = mix.to(_device(part))


def installed(pipe: Any, decoder: Decoder, part: str = "vae", chunk: int | None = 1) -> AbstractContextManager[Any]:
    """`install` for a `with` block."""
    return while_installed(install, uninstall, pipe, decoder, part=part, chunk=chunk)


def decoder_of(vae: Any) -> Decoder:
    """An exact copy of a pipeline's own decoder as one of ours, in float32 on the CPU: to be optimised or compressed.

    A VAE that has no counterpart here is a `ValueError`.
    """
    own = {key: value.detach().float().cpu() for key, value in vae.state_dict().items()}
    own = {key: value for key, value in own.items() if not key.startswith(("encoder.", "quant_conv."))}
    return decoder_from(own, type(vae).__name__, {**vae.config, "_class_name": type(vae).__name__})


def latents_of(vae: Any) -> HostLatents:
    """What a pipeline with this VAE calls latents, read off its config and buffers."""
    config, name = vae.config, type(vae).__name__
    mean, std = (_statistics(vae, name) for name in ("latents_mean", "latents_std"))
    factor = float(config.get("scaling_factor") or 1.0)
    if "scale_factor_temporal" in config:
        scales = config["scale_factor_temporal"], config["scale_factor_spatial"]
    else:
        scales = vae.temporal_compression_ratio, vae.spatial_compression_ratio
    return HostLatents(name, mean, [value / factor for value in std], int(scales[0]), int(scales[1]))


def _statistics(vae: Any, name: str) -> list[float]:
    """Latent statistics from the config (Wan), or from a buffer (LTX-Video)."""
    value = vae.config.get(name)
    value = getattr(vae, name, None) if value is None else value
    if value is None:
        raise ValueError(
            f"this {type(vae).__name__} does not tell its {name}; only Wan and LTX-Video VAEs are replaced"
        )
    return [float(v) for v in value]


def _vae_around(vae: Any, decoder: Decoder) -> Any:
    """A VAE of ours: the given decoder, and the encoder of `vae`, their modules shared and not copied."""
    from flash_vaed.export.modeling import FlashVaed

    class Installed(Replacement, FlashVaed):  # type: ignore[misc]
        """An exported VAE that remembers what it replaced."""

        __module__ = FlashVaed.__module__  # a saved pipeline names the file that goes along with it

        @property
        def source(self) -> str:  # type: ignore[override]  # made when it is saved, not whenever one is installed
            return modelling_code(decoder.spec)

    Installed.__name__ = Installed.__qualname__ = FlashVaed.__name__
    with torch.device("meta"):
        ours = Installed(spec_to_config(decoder.spec))
    ours.decoder = decoder
    if getattr(vae, "encoder", None) is not None:
        encoder, config = (vae.encoder, vae.config["encoder_config"]) if isinstance(vae, FlashVaed) else _encoder(vae)
        ours.register_to_config(encoder_config=config)
        ours.encoder = encoder
    ours.replaces(vae)
    return ours.eval()


def _encoder(vae: Any) -> tuple[nn.Module, dict[str, Any]]:
    """The encoder of one of diffusers' VAEs behind that VAE's `encode`, and the config that rebuilds it."""
    config = {key: value for key, value in vae.config.items() if not key.startswith("_")}
    with torch.device("meta"):
        shell = type(vae).from_config(config)
    keep_encoder(shell)
    for name in ("encoder", "quant_conv"):
        if hasattr(shell, name):
            setattr(shell, name, getattr(vae, name))
    return shell, {"_class_name": type(vae).__name__, **config}


class LatentByLatent(Replacement, nn.Module):
    """Where `AutoencoderKLWan` calls its decoder: one latent after the other, with a list that is theirs to forget.

    The first slot of that list holds our state.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, x: Tensor, feat_cache: list[Any] | None = None, feat_idx: object = None, first_chunk: bool = False
    ) -> Tensor:
        """Raw latents (N, C, t, h, w) to frames in [-1, 1]; feat_cache: None decodes a whole clip."""
        z_NCthw = x.to(dtype_of(self.decoder))
        if feat_cache is None:
            return self.decoder.decode(z_NCthw, expect=None)
        known = isinstance(feat_cache[0], DecoderState) and not first_chunk
        frames, feat_cache[0] = self.decoder.step(z_NCthw, feat_cache[0] if known else self.decoder.init_state())
        return frames


class WholeClip(Replacement, nn.Module):
    """Where `AutoencoderKLLTXVideo` calls its decoder: a whole clip, or what its tiling cuts out."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, hidden_states: Tensor, temb: Tensor | None = None, causal: bool | None = None) -> Tensor:
        """Raw latents (N, C, t, h, w) to frames in [-1, 1]. temb, causal: theirs, of no use to ours."""
        return self.decoder.decode(hidden_states.to(dtype_of(self.decoder)), expect=None)


def _exchange_decoder(vae: Any, decoder: Decoder) -> None:
    """Ours in the place of `vae.decoder`. A Wan decoder of ours has the mixing before it (`post_quant_conv`) inside."""
    import diffusers

    wan: Any = diffusers.AutoencoderKLWan
    ltx: Any = diffusers.AutoencoderKLLTXVideo
    ours: LatentByLatent | WholeClip
    if isinstance(vae, wan):
        if vae.config.get("patch_size") is not None:
            raise ValueError("Wan 2.2's VAE puts patches together behind its decoder; install with part='vae'")
        if decoder.spec.looks_ahead:
            raise ValueError("AutoencoderKLWan decodes latent by latent, this decoder looks ahead; use part='vae'")
        ours = LatentByLatent(decoder)
        ours.replaces((vae.decoder, vae.post_quant_conv))
        vae.post_quant_conv = nn.Identity()
    elif isinstance(vae, ltx):
        if vae.config["timestep_conditioning"]:
            raise ValueError("this VAE's decoder is told the timestep, for which noise is mixed in; use part='vae'")
        ours = WholeClip(decoder)
        ours.replaces((vae.decoder, None))
    else:
        raise ValueError(f"only Wan and LTX-Video VAEs have a decoder to exchange, not {type(vae).__name__}")
    vae.decoder = ours.eval()


def _installed_part(pipe: Any) -> Any:
    """The part of ours that `install` put there, None without."""
    vae = getattr(pipe, "vae", None)
    for part in (vae, getattr(vae, "decoder", None)):
        if isinstance(part, Replacement) and part.replaced is not None:
            return part
    return None


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
