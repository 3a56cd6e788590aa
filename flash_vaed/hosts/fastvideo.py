"""FastVideo (hao-ai-lab/FastVideo): three ways in, from the most robust to the closest.

1. `VideoGenerator(..., output_type="latent")` gives normalised latents; `decode_latents` makes frames of them.
2. `install` into a pipeline of this process, or `loaded_modules={"vae": FastVideoVae(decoder)}` when one is made.
3. `register(folder)` at the top level of the main script, which FastVideo's spawned workers run again; the model's
   `vae/config.json` then names the class.

FastVideo's decoding stage hands over normalised latents (N, C, t, h, w) to a VAE that says `handles_latent_denorm`;
ours does, and denormalises in float32, once. Frames are in [-1, 1].
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flash_vaed.decoder import Decoder
from flash_vaed.export.fields import spec_from_config
from flash_vaed.hosts.base import (
    HostLatents,
    Replacement,
    check_fit,
    check_vacant,
    raw_latents,
    replaced_by,
    while_installed,
)
from flash_vaed.spec import DecoderSpec
from flash_vaed.state import DecoderState

HOST = "FastVideo"
CLASS = "FlashVaed"  # as `to_diffusers_folder` writes it into config.json


class FastVideoVae(Replacement, nn.Module):
    """A decoder where FastVideo's decoding stage expects `AutoencoderKLWan`.

    chunk: latents at a time (None: all). After `enable_tiling()` the next decode cuts its work to the memory that is
    free; it does not last longer than that.
    """

    handles_latent_denorm = True

    def __init__(self, decoder: Decoder, chunk: int | None = 1) -> None:
        super().__init__()
        self.decoder = decoder
        self.chunk = None if decoder.spec.looks_ahead else chunk
        self._thrifty = False

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Normalised latents (N, C, t, h, w) to frames (N, 3, T, H, W) in [-1, 1], in the decoder's dtype.

        The stage's autocast is switched off inside: the decoder's own dtype is what it was chosen for.
        """
        budget, self._thrifty = ("auto" if self._thrifty else None), False
        with torch.autocast(z.device.type, enabled=False):
            return decode_latents(z, self.decoder, self.chunk, budget)

    def enable_tiling(self, *_: object, **__: object) -> None:
        """Decode the next latents within the memory that is free."""
        self._thrifty = True

    def get_streaming_cache(self) -> list[DecoderState]:
        """The cache of a stream that has not begun."""
        return [self.decoder.init_state()]

    @torch.no_grad()
    def streaming_decode(
        self, z: Tensor, cache: list[DecoderState], is_first_chunk: bool = False
    ) -> tuple[Tensor, list[DecoderState]]:
        """The next normalised latents of a stream: exactly the frames of the whole clip, and the cache behind them."""
        state = self.decoder.init_state() if is_first_chunk else cache[0]
        with torch.autocast(z.device.type, enabled=False):
            frames, after = self.decoder.step(_raw(z, self.decoder), state)
        return frames, [after]

    def encode(self, x: Tensor) -> Any:
        """By the VAE that was replaced; without one a `ValueError`."""
        if self.replaced is None:
            raise ValueError("this VAE is a decoder only; install it in a pipeline whose VAE can encode")
        return self.replaced.to(x.device).encode(x)


def decode_latents(
    samples: Tensor, decoder: Decoder, chunk: int | None = None, memory_budget: int | str | None = None
) -> Tensor:
    """What `output_type="latent"` gave, normalised latents (N, C, t, h, w), as frames (N, 3, T, H, W) in [-1, 1].

    chunk, memory_budget: as in `Decoder.decode`. Latents of another shape are a `ValueError`.
    """
    return decoder.decode(_raw(samples, decoder), chunk, memory_budget=memory_budget, expect=None)


def install(pipe: Any, decoder: Decoder, chunk: int | None = 1) -> None:
    """Let a FastVideo pipeline of this process decode with `decoder`: its module table and the stages that decode.

    A pipeline without a VAE, another latent space or an installed decoder is a `ValueError`.
    """
    vae = getattr(pipe, "modules", {}).get("vae")
    if vae is None:
        raise ValueError(f"this {type(pipe).__name__} has no module 'vae'; it is no pipeline of {HOST}")
    check_vacant(vae)
    check_fit(_latents_of(vae), decoder.spec)
    ours = FastVideoVae(decoder, chunk).eval()
    ours.replaces(vae)
    _exchange(pipe, vae, ours)


def uninstall(pipe: Any) -> None:
    """Restore the VAE that `install` replaced. Nothing installed: a `ValueError`."""
    ours = getattr(pipe, "modules", {}).get("vae")
    _exchange(pipe, ours, replaced_by(ours))


def installed(pipe: Any, decoder: Decoder, chunk: int | None = 1) -> AbstractContextManager[Any]:
    """`install` for a `with` block."""
    return while_installed(install, uninstall, pipe, decoder, chunk=chunk)


def register(folder: str | Path) -> type[nn.Module]:
    """Make FastVideo's loader read `folder`, a component folder of `to_diffusers_folder`; gives the class it will use.

    Put the folder in the model's place of `vae/`. FastVideo drops config fields that it does not know, so the class
    knows its spec from here, and it loads its weights strictly where FastVideo would pass over what does not fit.
    """
    from fastvideo.models.registry import ModelRegistry

    config = Path(folder) / "config.json"
    if not config.is_file() or "decoder_spec" not in (document := json.loads(config.read_text())):
        raise ValueError(f"{folder} is no exported decoder; write one with flash_vaed.to_diffusers_folder")
    made = _class_for(spec_from_config(document["decoder_spec"]))
    ModelRegistry.register_model(CLASS, made)
    return made


def _class_for(spec: DecoderSpec) -> type[nn.Module]:
    """A VAE class as FastVideo makes one: from its own config, then `load_state_dict(weights, strict=False)`."""

    class Registered(FastVideoVae):
        """Built from the spec that its folder told."""

        def __init__(self, config: object = None) -> None:
            super().__init__(Decoder(spec))
            self.config = config

        def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
            own = {key: value for key, value in state_dict.items() if not key.startswith("encoder.")}
            return super().load_state_dict(own, strict=True, assign=assign)

    Registered.__name__ = Registered.__qualname__ = CLASS
    return Registered


def _exchange(pipe: Any, old: Any, new: Any) -> None:
    pipe.modules["vae"] = new
    for stage in pipe.stages:
        if getattr(stage, "vae", None) is old:
            stage.vae = new


def _latents_of(vae: Any) -> HostLatents:
    config = getattr(vae, "config", None)
    mean, std = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is None or std is None:
        raise ValueError(
            f"{HOST}'s {type(vae).__name__} does not tell its latent statistics; only Wan VAEs are replaced"
        )
    scales = config.scale_factor_temporal, config.scale_factor_spatial  # type: ignore[union-attr]
    return HostLatents(HOST, [float(v) for v in mean], [float(v) for v in std], *map(int, scales))


def _raw(z_NCthw: Tensor, decoder: Decoder) -> Tensor:
    decoder.check(z_NCthw)
    return raw_latents(z_NCthw, decoder)
