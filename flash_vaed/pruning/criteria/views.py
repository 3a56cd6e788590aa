"""What an error in a site's channels costs, as pairs of matrices: the channels' covariance S and a metric B.

An error of covariance E costs tr(B E), summed over the pairs. The metric says whose error it is: the channels' own
(B = 1), that of the next convolutions, or that of the frames.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from flash_vaed.pruning.criteria.base import Evidence
from flash_vaed.pruning.statistics import Moments


class View(NamedTuple):
    """covariance (C, C) and metric (C, C), float64."""

    covariance: Tensor
    metric: Tensor


def views_of(evidence: Evidence) -> list[View]:
    """The pairs that a plan's `weighting` and `scaling` stand for.

    none: the channels themselves, as loud as they are ("total") or each of variance one ("mean"). next: every
    convolution that reads the site, with what reaches it and the squares of its kernel (the error behind it, to which
    each contributes alike). output: every layer that writes the site, with the frames' sensitivity to it.
    """
    if evidence.weighting == "next":
        if not evidence.readers:
            raise ValueError("no convolution reads this site, so weighting=next says nothing; use weighting=none")
        return [_behind(reader.moments.covariance, reader.kernel) for reader in evidence.readers]
    if evidence.weighting == "output":
        return [View(written.covariance, _sensitivity(written)) for written in evidence.written]
    return [_own(evidence.moments.covariance, evidence.scaling)]


def _own(covariance: Tensor, scaling: str) -> View:
    """With "mean", every channel divided by its deviation before its errors are counted."""
    if scaling == "mean":
        deviation = covariance.diagonal().clamp_min(1e-12).sqrt()
        covariance = covariance / torch.outer(deviation, deviation)
    return View(covariance, torch.eye(len(covariance), dtype=torch.float64))


def _behind(covariance: Tensor, kernel_OK: Tensor) -> View:
    taps = kernel_OK.detach().double().reshape(len(kernel_OK), len(covariance), -1)
    squares = torch.einsum("oct,odt->cd", taps, taps)
    return View(covariance, squares / (covariance * squares).sum().clamp_min(1e-300))


def _sensitivity(moments: Moments) -> Tensor:
    if moments.sensitivity is None:
        raise ValueError("these statistics know no sensitivity, which weighting=output needs; calibrate again")
    return moments.sensitivity
