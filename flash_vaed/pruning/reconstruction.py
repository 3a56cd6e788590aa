"""How well kept channels rebuild all channels of a site, and the linear map that does it."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor


def reconstruction(covariance_CC: Tensor, kept: list[int], ridge: float = 1e-6) -> Tensor:
    """W (k, C): all channels from the kept ones, x_hat = W^T (x_kept - mean_kept) + mean; kept ones stay themselves."""
    covariance = covariance_CC.double()
    load = (ridge * torch.trace(covariance) / len(covariance)).clamp_min(1e-300)  # a silent site can be solved too
    inner = covariance[kept][:, kept] + load * torch.eye(len(kept), dtype=torch.float64)
    weights = torch.linalg.solve(inner, covariance[kept])
    weights[:, kept] = torch.eye(len(kept), dtype=torch.float64)
    return weights


def reconstruction_r2(covariance_CC: Tensor, kept: list[int], ridge: float = 1e-6) -> float:
    """Share of the total variance that a linear map from the kept channels rebuilds, in [0, 1]; of a silent site 0."""
    covariance = covariance_CC.double()
    weights = reconstruction(covariance, kept, ridge)
    explained = torch.trace(covariance[:, kept] @ weights)
    return float(explained / torch.trace(covariance).clamp_min(1e-300))


def pca_curve(covariance_CC: Tensor) -> Tensor:
    """Share of the total variance that the best subspace of 1, 2, ... C dimensions explains: (C,), float64.

    No k channels can rebuild more: their linear maps form a subspace of k dimensions (Eckart and Young 1936).
    """
    spectrum = torch.linalg.eigvalsh(covariance_CC.double()).clamp_min(0).flip(0)
    return spectrum.cumsum(0) / spectrum.sum().clamp_min(1e-300)


def pca_bound(covariance_CC: Tensor, width: int) -> float:
    """The value of `pca_curve` at one width."""
    return float(pca_curve(covariance_CC)[width - 1])


def r2_curve(covariance_CC: Tensor, order: list[int]) -> Tensor:
    """Share of the total variance that the first 1, 2, ... C channels of a ranking rebuild: (C,), float64."""
    covariance = residual = covariance_CC.double()
    total, floor, shares = torch.trace(covariance).clamp_min(1e-300), covariance.diagonal() * 1e-10, []
    for channel in order:
        if residual[channel, channel] > floor[channel]:
            column = residual[:, channel]
            residual = residual - torch.outer(column, column) / column[channel]
        shares.append((torch.trace(covariance) - torch.trace(residual)) / total)
    return torch.stack(shares).clamp(0, 1)


def best_subsets(covariance_CC: Tensor, most: int = 20_000) -> dict[int, float]:
    """The largest share that any choice of so many channels rebuilds, by trying all of them: for the widths up to half
    the channels at which there are at most `most`.
    """
    covariance, best = covariance_CC.double(), {}
    C = len(covariance)
    load = (1e-12 * covariance.trace() / C).clamp_min(1e-300)
    for width in range(1, C // 2 + 1):
        if math.comb(C, width) > most:
            break
        subsets = torch.tensor(list(itertools.combinations(range(C), width)))
        inner = covariance[subsets.unsqueeze(2), subsets.unsqueeze(1)] + load * torch.eye(width, dtype=torch.float64)
        across = covariance[subsets]  # (subsets, width, C)
        explained = (across * torch.linalg.solve(inner, across)).sum(dim=(1, 2))
        best[width] = float(explained.max() / covariance.trace().clamp_min(1e-300))
    return best
