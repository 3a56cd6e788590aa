"""Self-Forcing (guandeh17/Self-Forcing): its pipelines' `decode_to_pixel`, streamed or whole, and its demo's decoder.

Self-Forcing hands over *normalised* latents (N, t, C, h, w) and wants float32 frames (N, T, 3, H, W) in [-1, 1]. They
are denormalised here and nowhere else, with constants in float32; its own wrapper rounds them to the latents' dtype.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from flash_vaed.decoder import Decoder
from flash_vaed.families.wan import WAN21_LATENTS
from flash_vaed.hosts.base import (
    HostLatents,
    Replacement,
    check_fit,
    check_frames_second,
    check_vacant,
    raw_latents,
    replaced_by,
    while_installed,
)
from flash_vaed.state import DecoderState

HOST = "Self-Forcing"
DEMO_SURPLUS = 3  # frames that the demo drops from its first block: its own decoder gives 4 for the first latent


class SelfForcingVae(Replacement, nn.Module):
    """A decoder where Self-Forcing expects its `WanVAEWrapper`, or the decoder of its streaming demo.

    chunk: latents at a time when a whole clip is decoded (None: all). `decode_to_pixel(..., use_cache=True)` goes on
    where the last such call ended, until `model.clear_cache()`: exactly the frames of the whole clip.
    """

    def __init__(self, decoder: Decoder, chunk: int | None = 1) -> None:
        super().__init__()
        if decoder.spec.looks_ahead:
            raise ValueError("Self-Forcing streams; a decoder that looks ahead gives no frames for its first block")
        self.decoder, self.chunk = decoder, chunk
        self._state = decoder.init_state()

    @property
    def model(self) -> SelfForcingVae:
        """Where Self-Forcing calls `clear_cache`."""
        return self

    def clear_cache(self) -> None:
        """Forget the stream of `use_cache`; the next latents begin a clip."""
        self._state = self.decoder.init_state()

    @torch.no_grad()
    def decode_to_pixel(self, latent: Tensor, use_cache: bool = False) -> Tensor:
        """Normalised latents (N, t, C, h, w) to float32 frames (N, T, 3, H, W) in [-1, 1]; T = 4 t - 3 for a clip.

        use_cache: a stream of one clip (N = 1); its later blocks give 4 t frames.
        """
        z_NCthw = self._raw(latent)
        if not use_cache:
            return _frames_second(self.decoder.decode(z_NCthw, self.chunk, expect=None))
        if len(latent) != 1:
            raise ValueError(f"{HOST} streams one clip at a time (use_cache=True), not {len(latent)}")
        frames, self._state = self.decoder.step(z_NCthw, self._state)
        return _frames_second(frames)

    @torch.no_grad()
    def forward(self, z: Tensor, *feat_cache: object) -> tuple[Tensor, list[DecoderState]]:
        """The contract of the demo's `VAEDecoderWrapper`: a block (N, t, C, h, w) and its caches to (N, 4 t, 3, H, W).

        The demo drops three frames of the first block, which is therefore led by three copies of the clip's first
        frame. A cache that is none of ours, as the demo's zeros, begins a clip.
        """
        known = len(feat_cache) == 1 and isinstance(feat_cache[0], DecoderState)
        state = feat_cache[0] if known else self.decoder.init_state()
        assert isinstance(state, DecoderState)
        frames, after = self.decoder.step(self._raw(z), state)
        if state.latents_seen == 0:
            frames = torch.cat([frames[:, :, :1].expand(-1, -1, DEMO_SURPLUS, -1, -1), frames], dim=2)
        return _frames_second(frames), [after]

    def encode_to_latent(self, pixel: Tensor) -> Tensor:
        """Video (N, 3, T, H, W) to normalised latents, by the VAE that was replaced; without one a `ValueError`."""
        if self.replaced is None:
            raise ValueError("this VAE is a decoder only; install it in a pipeline whose VAE can encode")
        return self.replaced.to(pixel.device).encode_to_latent(pixel)

    def _raw(self, z_NtChw: Tensor) -> Tensor:
        check_frames_second(z_NtChw, self.decoder, HOST)
        return raw_latents(z_NtChw.transpose(1, 2), self.decoder)


def install(pipe: Any, decoder: Decoder, chunk: int | None = 1) -> None:
    """Let a Self-Forcing pipeline decode with `decoder`; chunk: see `SelfForcingVae`.

    The demo keeps its decoder in a variable of its own besides: `current_vae_decoder = pipeline.vae`.
    A decoder of another latent space, or one that is installed already, is a `ValueError`.
    """
    vae = getattr(pipe, "vae", None)
    if vae is None:
        raise ValueError(f"this {type(pipe).__name__} has no VAE; it is no pipeline of {HOST}")
    check_vacant(vae)
    check_fit(_latents_of(vae), decoder.spec)
    ours = SelfForcingVae(decoder, chunk).eval()
    ours.replaces(vae)
    pipe.vae = ours


def uninstall(pipe: Any) -> None:
    """Restore the VAE that `install` replaced. Nothing installed: a `ValueError`."""
    pipe.vae = replaced_by(pipe.vae)


def installed(pipe: Any, decoder: Decoder, chunk: int | None = 1) -> AbstractContextManager[Any]:
    """`install` for a `with` block."""
    return while_installed(install, uninstall, pipe, decoder, chunk=chunk)


def _latents_of(vae: Any) -> HostLatents:
    """The statistics that the VAE keeps as `mean` and `std`; those of Wan 2.1 where it keeps none."""
    mean, std = (getattr(vae, name, None) for name in ("mean", "std"))
    if not isinstance(mean, Tensor) or not isinstance(std, Tensor):
        return HostLatents(HOST, WAN21_LATENTS.mean, WAN21_LATENTS.std, 4, 8)
    return HostLatents(HOST, mean.flatten().tolist(), std.flatten().tolist(), 4, 8)


def _frames_second(x_NCTHW: Tensor) -> Tensor:
    return x_NCTHW.float().transpose(1, 2)
