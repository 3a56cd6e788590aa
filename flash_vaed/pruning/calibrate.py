"""The one pass over calibration clips: which taps of a decoder are observed."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from flash_vaed.decoder import Decoder
from flash_vaed.pruning.anatomy import anatomy, walk
from flash_vaed.pruning.statistics import Statistics, accumulate


def calibrate(decoder: Decoder, latents: Iterable[Tensor], positions: int = 4096, seed: int = 0) -> Statistics:
    """Moments of all channels that can go, over raw `latents`, each (N, C, t, h, w): clips that a teacher has encoded,
    latents that a diffusion model has made, or both.

    positions: sampled per module and clip. Needs the memory of a backward pass over one clip.
    """
    generator = torch.Generator().manual_seed(seed)
    written = [tap for site in anatomy(decoder).sites.values() for tap in site.taps]
    return accumulate(decoder, written, observed(decoder), latents, positions, generator)


def observed(decoder: Decoder) -> list[str]:
    """The convolutions whose input is calibrated."""
    return [f"{path}.{conv}" for path, module, kind in walk(decoder) for conv in kind.observed(module)]
