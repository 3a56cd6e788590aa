"""What a criterion is: evidence about one site in, a ranking of its channels out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from flash_vaed.pruning.statistics import Moments
from flash_vaed.registry import Registry


class Reader(NamedTuple):
    """One convolution that reads the site: the moments of what reaches it (behind norm and activation, where there are
    some), and its kernel (O, C * taps), taps varying fastest.
    """

    moments: Moments
    kernel: Tensor


@dataclass(frozen=True)
class Evidence:
    """What is known of one site of C channels.

    moments: from calibration, of all layers that write the site. written: of each of them, with its sensitivity.
    producers: kernels whose rows write these channels, each (C, ...). readers: the convolutions that read them.
    gains: learned gains (C,) of the norms that read them. scaling, weighting: as in `CompressionPlan`.
    generator: for criteria that draw.
    """

    moments: Moments
    written: tuple[Moments, ...]
    producers: tuple[Tensor, ...]
    readers: tuple[Reader, ...]
    gains: tuple[Tensor, ...]
    scaling: str
    weighting: str
    generator: torch.Generator


Criterion = Callable[[Evidence], list[int]]
"""Returns all C channels, most worth keeping first; the first k are the choice at width k, so rankings are nested."""

CRITERIA: Registry[Criterion] = Registry("pruning criterion", __package__)


def by_score(scores: list[Tensor]) -> list[int]:
    """Channels by the sum of several scores (C,), each divided by its total first; ties in the order of channels."""
    total = torch.stack([score.double() / score.double().sum().clamp_min(1e-300) for score in scores]).sum(dim=0)
    return total.argsort(descending=True, stable=True).tolist()
