"""Ridge regression in closed form, added up clip by clip: memory does not grow with the data.

Legend: G independent groups, P sampled positions, K regressors, O outputs; output o belongs to group o // (O // G).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from flash_vaed.operators import Operator
from flash_vaed.operators.base import Index, at, sample_positions

Sample = tuple[Tensor, Index, Tensor]  # of one clip: x (N, C, T, H, W), positions in it, targets (P, ...) there

POSITIONS = 12288  # samples per regression, all clips together
FEWEST = 1024  # per clip
FIRST_SHARE = 0.02  # of the samples that lie in a clip's first frame
RIDGE = 1e-3  # pull towards the start, relative to the mean regressor variance


class Sampler:
    """Draws the positions that a regression sees.

    A clip's first frame has no past: the teacher's causal kernels see zeros there, and an operator without time cannot
    tell it from the others. It is one frame of many, so it gets `FIRST_SHARE` of the samples, however short the
    calibration clips are.
    """

    def __init__(self, clips: int, seed: int) -> None:
        self._count = max(FEWEST, POSITIONS // clips)
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, like_NCTHW: Tensor) -> Index:
        N, C, T, H, W = like_NCTHW.shape
        frame_shape = torch.Size((N, C, 1, H, W))
        if T == 1:
            return sample_positions(frame_shape, self._count, self._generator, first_frame=0)
        later = sample_positions(like_NCTHW.shape, round(self._count * (1 - FIRST_SHARE)), self._generator)
        first = max(1, round(len(later[0]) * FIRST_SHARE / (1 - FIRST_SHARE)))
        frame = sample_positions(frame_shape, first, self._generator, first_frame=0)
        return tuple(torch.cat(pair) for pair in zip(frame, later, strict=True))  # type: ignore[return-value]


class Regression:
    """Finds theta (G, K, O/G) and bias (O,) with the smallest squared error, plus a pull of `RIDGE` towards a prior.

    What is added up is the prior's error, so a prior that is right stays exact. Products are taken in float32 around
    the first clip's mean, sums kept in float64.
    """

    def __init__(self, prior_GKO: Tensor) -> None:
        self.prior = prior_GKO
        G, K, O = prior_GKO.shape  # noqa: E741
        self.count = 0
        self._centre = prior_GKO.new_zeros(G, 1, K)
        self._columns = torch.zeros(G, K, dtype=torch.float64)
        self._missed = torch.zeros(G, O, dtype=torch.float64)
        self._gram = torch.zeros(G, K, K, dtype=torch.float64)
        self._cross = torch.zeros(G, K, O, dtype=torch.float64)

    def add(self, columns_GPK: Tensor, target_PO: Tensor) -> None:
        """Samples of one clip."""
        G, P, _ = columns_GPK.shape
        if not self.count:
            self._centre = columns_GPK.mean(dim=1, keepdim=True)
        missed = target_PO.view(P, G, -1).transpose(0, 1) - columns_GPK @ self.prior
        columns = columns_GPK - self._centre
        self.count += P
        self._columns += columns.sum(dim=1, dtype=torch.float64)
        self._missed += missed.sum(dim=1, dtype=torch.float64)
        self._gram += columns.transpose(1, 2) @ columns
        self._cross += columns.transpose(1, 2) @ missed

    def solve(self, strength: float = RIDGE) -> tuple[Tensor, Tensor]:
        """theta (G, K, O/G) and bias (O,)."""
        column, missed = self._columns / self.count, self._missed / self.count
        gram = self._gram / self.count - column.unsqueeze(2) * column.unsqueeze(1)
        cross = self._cross / self.count - column.unsqueeze(2) * missed.unsqueeze(1)
        load = strength * gram.diagonal(dim1=1, dim2=2).mean(dim=1) + 1e-12
        gram.diagonal(dim1=1, dim2=2).add_(load.unsqueeze(1))
        # group by group: torch 2.13 fails on a batch of large systems ("pivots given to lu_solve")
        change = torch.stack([torch.linalg.solve(*system) for system in zip(gram, cross, strict=True)])
        mean = self._centre.double() + column.unsqueeze(1)  # (G, 1, K)
        bias = missed.unsqueeze(1) - mean @ change
        return (self.prior.double() + change).to(self.prior.dtype), bias.flatten().to(self.prior.dtype)


def solve(operator: Operator, samples: Iterable[Sample]) -> None:
    """Write the ridge solution of columns(x) -> target into `operator`."""
    regression = Regression(operator.theta())
    for x_NCTHW, index, target_PO in samples:
        regression.add(operator.columns(x_NCTHW, index), target_PO)
    operator.write(*regression.solve())


def fit_gain(norm: Any, samples: Iterable[Sample]) -> None:
    """The gain per channel that brings a norm's values closest to the targets (P, C); nothing where it has none."""
    if not hasattr(norm, "gamma"):
        return
    product = square = torch.zeros(())
    for x_NCTHW, index, target_PC in samples:
        value = at(norm.unit(x_NCTHW), index)
        product, square = product + (value * target_PC).sum(dim=0), square + value.square().sum(dim=0)
    norm.gamma.copy_(product / square.clamp_min(1e-12))
