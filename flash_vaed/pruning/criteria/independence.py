"""Keep the channels that rebuild all others best (independence-aware pruning, Flash-VAED, arXiv 2602.19161).

Greedy forward selection on the residual covariance, a pivoted Cholesky: each step takes the channel whose linear
reconstruction removes most of what is left of the total variance. The order is nested: one ranking serves every ratio.
"""

from __future__ import annotations

import torch
from torch import Tensor

from flash_vaed.pruning.criteria.base import CRITERIA, Evidence


@CRITERIA.register("independence")
def independence(evidence: Evidence) -> list[int]:
    """All channels, each the best addition to those before it."""
    covariance = evidence.moments.covariance
    loudness = covariance.diagonal()
    if evidence.scaling == "mean":
        deviation = loudness.clamp_min(1e-12).sqrt()
        covariance = covariance / torch.outer(deviation, deviation)
    return greedy_order(covariance, loudness)


def greedy_order(covariance_CC: Tensor, loudness_C: Tensor | None = None) -> list[int]:
    """Channels in the order of greedy reconstruction; those that earlier ones rebuild exactly come last, by loudness.

    loudness_C: each channel's variance, where the diagonal of a scaled covariance no longer holds it.
    """
    residual = covariance_CC.double().clone()
    loudness = covariance_CC.diagonal() if loudness_C is None else loudness_C
    floor = residual.diagonal() * 1e-10
    order: list[int] = []
    left = torch.ones(len(residual), dtype=torch.bool)
    while left.any():
        variance = residual.diagonal()
        usable = left & (variance > floor)
        if not usable.any():
            break
        gain = residual.square().sum(dim=0) / variance.clamp_min(1e-300)
        best = int(torch.where(usable, gain, -torch.inf).argmax())
        order.append(best)
        left[best] = False
        residual = residual - torch.outer(residual[:, best], residual[best]) / residual[best, best]
        residual = (residual + residual.T) / 2
        residual.diagonal().clamp_(min=0)
    redundant = [channel for channel in range(len(left)) if left[channel]]
    return order + sorted(redundant, key=lambda c: -float(loudness[c]))
