"""The latent contract: are these the latents that a decoder reads, in the form it reads them?

Wrong shapes and values that are not finite are errors. Latents of the right shape can still be the wrong ones:
normalised where raw ones are expected, the reverse, or another model's (CogVideoX has Wan's shapes). A decoder then
gives wrong colours and no error. The statistics tell most of these cases, so a doubt is a warning, never a refusal.

How it is told. Under each reading a channel is a Gaussian, with the space's mean and deviation or with 0 and 1. A clip
may be quieter than the space as a whole (flat content, the first latent), so one common factor of at most 1 is fitted
to the deviations. What remains is the pattern over channels, and the loudness.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flash_vaed.spec import LatentSpace

READINGS = ("raw", "normalized")
MIN_VALUES = 512  # per channel; with fewer, neighbours that resemble each other are too little evidence

# In nats per value unless said otherwise. Calibrated on a real Wan latent, one of CogVideoX, and 27 real clips through
# the bundled encoder, in its space and moved to Wan's. The right reading drew 3 false warnings in 108 readings there
# (test card, night sky, close-up) and none in its own space.
CLEAR = 0.2  # by how much the other reading must fit better; real Wan latents: 0.32 (normalised as raw), 1.15 (reverse)
APART = 0.15  # two readings of a space that differ by less are not told apart: bundled 0.08, Wan 2.1 0.29, Wan 2.2 0.18
FOREIGN = 0.5  # a reading that is missed by more does not fit either; the real Wan latent 0.12, CogVideoX 0.79
LOUD = 4.0  # mean square, in units of what is expected; the loudest real clip has 2.1


class LatentWarning(UserWarning):
    """The latents have the right shape, but not the statistics of what they were said to be."""


def check_latents(z_NCthw: Tensor, latents: LatentSpace, expect: str | None = "raw", stacklevel: int = 2) -> None:
    """Refuse latents that a decoder of this space cannot read; warn about those that look like other ones.

    z_NCthw: (N, C, t, h, w), floating point, t >= 1. expect: what they are meant to be, "raw" (as decoders here take
    them) or "normalized" (as diffusion models give them); None looks at shape and finite values alone.
    A wrong rank, axis order, channel count or type, or a value that is not finite, is a `ValueError`. Statistics that
    do not fit are a `LatentWarning`. Fewer than 512 values per channel are not judged. CogVideoX latents given as
    normalised Wan latents lie within the spread of real clips and are not noticed. stacklevel: whose line the warning
    names, as in `warnings.warn`.
    """
    found = doubt(z_NCthw, latents, expect)
    if found is not None:
        warnings.warn(f"{found} (expect=None: do not look)", LatentWarning, stacklevel=stacklevel)


def doubt(z_NCthw: Tensor, latents: LatentSpace, expect: str | None = "raw") -> str | None:
    """What `check_latents` would warn about, as one sentence; None where there is nothing. Raises what it raises."""
    if expect is not None and expect not in READINGS:
        raise ValueError(f"expect is one of {', '.join(READINGS)} or None, not {expect!r}")
    _check_form(z_NCthw, latents)
    N, C, t, h, w = z_NCthw.shape
    if expect is None or N * t * h * w < MIN_VALUES:
        return None
    if t == C and _axes_exchanged(z_NCthw):
        return (
            f"latents of shape {tuple(z_NCthw.shape)} look like (N, t, C, h, w): neighbours along axis 1 resemble each "
            "other as frames do, those along axis 2 do not; z.transpose(1, 2) exchanges them"
        )
    return _misread(z_NCthw, latents, expect)


def _check_form(z_NCthw: Tensor, latents: LatentSpace) -> None:
    shape, C = tuple(z_NCthw.shape), latents.channels
    wanted = f"{latents.name} latents are (N, {C}, t, h, w), not {shape}"
    if len(shape) == 4 and shape[0] == C:
        raise ValueError(f"{wanted}; z.unsqueeze(0) adds the batch axis")
    if len(shape) == 5 and shape[1] != C and shape[2] == C:
        raise ValueError(f"{wanted}; axes 1 and 2 look exchanged, z.transpose(1, 2) puts channels first")
    if len(shape) == 5 and shape[1] != C and shape[4] == C:
        raise ValueError(f"{wanted}; the channels look last, z.movedim(-1, 1) puts them first")
    if len(shape) != 5 or shape[1] != C or 0 in shape:
        raise ValueError(wanted)
    if not z_NCthw.is_floating_point():
        raise ValueError(f"latents are floating point numbers, not {z_NCthw.dtype}")
    bad = int((~z_NCthw.isfinite()).sum())
    if bad:
        raise ValueError(
            f"{bad} of {z_NCthw.numel()} latent values are NaN or infinite; in float16 this is mostly an overflow: "
            "make them in bfloat16 or float32"
        )


def _axes_exchanged(z_NCthw: Tensor) -> bool:
    return _likeness(z_NCthw, 1) > 0.7 and _likeness(z_NCthw, 2) < 0.4


def _likeness(z_NCthw: Tensor, axis: int) -> float:
    """Correlation of neighbouring slices along an axis; in the real Wan latent 0.98 over time, 0.14 over channels."""
    z = z_NCthw.detach().float()
    z = z - z.mean()
    before, after = z.narrow(axis, 0, z.shape[axis] - 1), z.narrow(axis, 1, z.shape[axis] - 1)
    scale = float(before.square().sum() * after.square().sum()) ** 0.5
    return float((before * after).sum()) / scale if scale > 0 else 0.0


@dataclass(frozen=True)
class _Channels:
    """A mean and a deviation per channel: those of a reading, or those of the latents at hand."""

    mean_C: Tensor
    std_C: Tensor

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float]) -> _Channels:
        return cls(torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64))

    def mean_square(self, seen: _Channels) -> float:
        """Mean square of the seen values in units of this reading; 1 where they have its statistics."""
        return float((((seen.mean_C - self.mean_C).square() + seen.std_C.square()) / self.std_C.square()).mean())

    def code_length(self, seen: _Channels) -> float:
        """Nats per value (less a constant) to tell the seen values under this reading, as quiet as fits them best."""
        square = self.mean_square(seen)
        variance = max(min(square, 1.0), 1e-12)
        return float(self.std_C.log().mean()) + 0.5 * math.log(variance) + 0.5 * square / variance

    def divergence(self, seen: _Channels) -> float:
        """Nats per value by which the seen channels miss this reading; 0 where they have its statistics."""
        return self.code_length(seen) - float(seen.std_C.clamp_min(1e-6).log().mean()) - 0.5

    @property
    def overall_std(self) -> float:
        return float((self.std_C.square().mean() + self.mean_C.var(correction=0)).sqrt())

    def __str__(self) -> str:
        mean, std = self.mean_C, self.std_C
        return (
            f"mean {float(mean.mean()):.2f}, std {self.overall_std:.2f} (channel means {float(mean.min()):.2f} to "
            f"{float(mean.max()):.2f}, stds {float(std.min()):.2f} to {float(std.max()):.2f})"
        )


def _misread(z_NCthw: Tensor, latents: LatentSpace, expect: str) -> str | None:
    C = latents.channels
    readings = {"raw": _Channels.of(latents.mean, latents.std), "normalized": _Channels.of([0.0] * C, [1.0] * C)}
    other = "normalized" if expect == "raw" else "raw"
    meant, instead = readings[expect], readings[other]
    z = z_NCthw.detach().cpu().double()
    seen = _Channels(z.mean(dim=(0, 2, 3, 4)), z.std(dim=(0, 2, 3, 4)))
    apart = min(meant.divergence(instead), instead.divergence(meant))
    better = meant.code_length(seen) - instead.code_length(seen) > CLEAR
    if meant.mean_square(seen) <= LOUD and not (better and apart > APART):
        return None
    if instead.divergence(seen) > FOREIGN:
        look = f"like neither raw nor normalized {latents.name} latents, perhaps like another model's"
    else:
        way = "denormalize" if expect == "raw" else "normalize"
        look = f"{other} (latents.{way}(z) makes them {expect})"
    return f"latents given as {expect} {latents.name} latents look {look}: they have {seen}, expected is {meant}"
