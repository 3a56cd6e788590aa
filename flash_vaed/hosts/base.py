"""What all hosts share: a decoder is refused where its latents are not the host's, and leaves no trace when it goes.

What an installed part replaced is remembered by that part itself, so a host needs no mark and there is no table of
installations to go stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flash_vaed.decoder import Decoder
from flash_vaed.spec import DecoderSpec

TOLERANCE = 0.02  # of a channel's deviation: statistics that were rounded to bfloat16 are still the same ones


@dataclass(frozen=True)
class HostLatents:
    """The latents that a host's model makes: per-channel statistics, and how many frames and pixels one stands for."""

    host: str
    mean: Sequence[float]
    std: Sequence[float]
    temporal_scale: int
    spatial_scale: int


class Replacement:
    """Mixed into a part of ours that stands in a host's place: `replaced` is what stood there.

    It is kept out of the module tree: what was replaced is neither moved, cast nor saved with ours.
    """

    _replaced: tuple[Any, ...] = ()

    @property
    def replaced(self) -> Any:
        return self._replaced[0] if self._replaced else None

    def replaces(self, theirs: Any) -> None:
        object.__setattr__(self, "_replaced", (theirs,))


def check_fit(theirs: HostLatents, spec: DecoderSpec) -> None:
    """A `ValueError` that says what was expected and what came, unless a decoder of `spec` reads the host's latents."""
    ours = spec.latents
    told = f"{theirs.host} makes latents of {len(theirs.mean)} channels, {_scales(theirs)} pixels a latent"
    came = f"the decoder reads {ours.name} latents of {ours.channels} channels, {_scales(spec)}"
    if len(theirs.mean) != ours.channels or _scales(theirs) != _scales(spec):
        raise ValueError(f"{told}, but {came}; take a decoder of the host's latent space")
    for channel, (mean, std) in enumerate(zip(theirs.mean, theirs.std, strict=True)):
        off = max(abs(mean - ours.mean[channel]), abs(std - ours.std[channel]))
        if off > TOLERANCE * max(std, ours.std[channel]):
            raise ValueError(
                f"{theirs.host} and the decoder's {ours.name} latents differ in their statistics: channel {channel} "
                f"has mean {mean:.4g} and deviation {std:.4g} there, {ours.mean[channel]:.4g} and "
                f"{ours.std[channel]:.4g} here; take a decoder of the host's latent space"
            )


def check_vacant(part: Any) -> None:
    """A `ValueError` where `part` is one of ours that has replaced a host's."""
    if isinstance(part, Replacement) and part.replaced is not None:
        raise ValueError("a decoder is installed in this pipeline already; uninstall(pipe) first")


def replaced_by(part: Any) -> Any:
    """What `part` has replaced; a `ValueError` where it is none of ours."""
    if not isinstance(part, Replacement) or part.replaced is None:
        raise ValueError("no decoder of ours is installed in this pipeline")
    return part.replaced


def check_device(decoder: Decoder, device: torch.device, host: str) -> None:
    """A `ValueError` unless the decoder is where the part it replaces is."""
    own = next(decoder.parameters()).device
    if own.type != device.type:
        raise ValueError(
            f"the VAE of this {host} is on {device}, the decoder on {own}; move it: decoder.to({str(device)!r})"
        )


def check_frames_second(z_NtChw: Tensor, decoder: Decoder, host: str) -> None:
    """A `ValueError` unless these are floating point latents (N, t, C, h, w) of the decoder's space."""
    C, shape = decoder.latents.channels, tuple(z_NtChw.shape)
    if z_NtChw.ndim != 5 or z_NtChw.shape[2] != C or 0 in shape:
        turned = "; axes 1 and 2 look exchanged" if z_NtChw.ndim == 5 and shape[1] == C else ""
        raise ValueError(f"{host} hands over latents (N, t, {C}, h, w), not {shape}{turned}")
    if not z_NtChw.is_floating_point():
        raise ValueError(f"{host} hands over floating point latents, not {z_NtChw.dtype}")


def raw_latents(z_NCthw: Tensor, decoder: Decoder) -> Tensor:
    """A host's normalised latents as raw ones in the decoder's dtype; denormalised in float32, once."""
    return decoder.latents.denormalize(z_NCthw.float()).to(dtype_of(decoder))


def dtype_of(decoder: Decoder) -> torch.dtype:
    """The dtype a decoder computes in."""
    return next(decoder.parameters()).dtype


@contextmanager
def while_installed(
    install: Callable[..., None], uninstall: Callable[[Any], None], pipe: Any, decoder: Decoder, **options: Any
) -> Iterator[Any]:
    """The pipe with the decoder in it; without it again when the block ends, however it ends."""
    install(pipe, decoder, **options)
    try:
        yield pipe
    finally:
        uninstall(pipe)


def _scales(of: HostLatents | DecoderSpec) -> str:
    return f"{of.temporal_scale} x {of.spatial_scale} x {of.spatial_scale}"
