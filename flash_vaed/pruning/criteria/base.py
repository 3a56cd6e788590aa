"""What a criterion is: evidence about one site in, a ranking of its channels out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flash_vaed.pruning.statistics import Moments
from flash_vaed.registry import Registry


@dataclass(frozen=True)
class Evidence:
    """What is known of one site of C channels.

    moments: from calibration. producers: kernels whose rows write these channels, each (C, ...). scaling: "total" or
    "mean".
    generator: for criteria that draw.
    """

    moments: Moments
    producers: tuple[Tensor, ...]
    scaling: str
    generator: torch.Generator


Criterion = Callable[[Evidence], list[int]]
"""Returns all C channels, most worth keeping first; the first k are the choice at width k, so rankings are nested."""

CRITERIA: Registry[Criterion] = Registry("pruning criterion", __package__)
