"""Keep the channels that rebuild all others best (independence-aware pruning, Flash-VAED, arXiv 2602.19161).

Greedy forward selection on the residual covariance, a pivoted Cholesky: each step takes the channel whose linear
reconstruction removes most of what is left of the error. At an eighth, a quarter and a half of the channels, those
taken since the last such rung are exchanged for others as long as that helps; so the order stays nested and one ranking
serves every ratio.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flash_vaed.pruning.criteria.base import CRITERIA, Evidence
from flash_vaed.pruning.criteria.views import View, views_of

RUNGS = (0.125, 0.25, 0.5)  # shares of the channels at which the choice is refined
WORTH = 1e-3  # an exchange has to lower the error by this share
ALIKE = 1e-6  # gains that differ by a smaller share are ties: of copies, the one that is itself needed most is kept
NOTHING_LEFT = 1e-10  # of a channel's variance: what is below is rebuilt exactly


@CRITERIA.register("independence")
def independence(evidence: Evidence) -> list[int]:
    """All channels, each the best addition to those before it, up to the exchanges at the rungs."""
    views = views_of(evidence)
    return ranking(views, evidence.moments.covariance.diagonal())


def ranking(views: list[View], loudness_C: Tensor, rungs: tuple[float, ...] = RUNGS) -> list[int]:
    """Channels in the order of selection; those that earlier ones rebuild exactly come last, by loudness."""
    selection, channels = Selection(views), len(loudness_C)
    settled = 0
    for rung in rungs:
        _take(selection, max(1, round(channels * rung)))
        selection = _exchange(selection, settled)
        settled = len(selection.kept)
    _take(selection, channels)
    left = sorted(set(range(channels)) - set(selection.kept), key=lambda c: (-float(loudness_C[c]), c))
    return selection.kept + left


class Selection:
    """Kept channels, and per view what they leave unexplained of the covariance: E, and B E, which is kept up to date
    so that a step costs C^2.
    """

    def __init__(self, views: list[View], kept: Sequence[int] = ()) -> None:
        self.views, self.kept = views, list[int]()
        self.residuals = [view.covariance.clone() for view in views]
        self.weighed = [view.metric @ view.covariance for view in views]
        self.nothing = NOTHING_LEFT * self.error()
        self.own = sum(view.covariance.diagonal() * view.metric.diagonal() for view in views)
        self.floors = [view.covariance.diagonal() * NOTHING_LEFT for view in views]
        for channel in kept:
            self.add(channel)

    def error(self) -> float:
        """What the lost channels cost."""
        return float(sum(weighed.trace() for weighed in self.weighed))

    def gains(self) -> Tensor:
        """How much less that would be with each channel kept as well (C,); -inf where it is kept or rebuilt exactly."""
        total = torch.zeros(len(self.floors[0]), dtype=torch.float64)
        usable = torch.zeros(len(total), dtype=torch.bool)
        for residual, weighed, floor in zip(self.residuals, self.weighed, self.floors, strict=True):
            variance = residual.diagonal()
            open_ = variance > floor
            total += torch.where(open_, (weighed * residual).sum(dim=0) / variance.clamp_min(1e-300), 0.0)
            usable |= open_
        usable[self.kept] = False
        return torch.where(usable, total, -torch.inf)

    def add(self, channel: int) -> None:
        self.kept.append(channel)
        for residual, weighed, floor in zip(self.residuals, self.weighed, self.floors, strict=True):
            if residual[channel, channel] > floor[channel]:
                root = residual[channel, channel].sqrt()
                column, behind = residual[:, channel] / root, weighed[:, channel] / root
                residual.sub_(torch.outer(column, column)).diagonal().clamp_(min=0)
                weighed.sub_(torch.outer(behind, column))

    def replaced(self, position: int, channel: int) -> Selection:
        """With one kept channel exchanged; residuals are formed anew, so that rounding does not add up."""
        return Selection(self.views, [*self.kept[:position], channel, *self.kept[position + 1 :]])

    def exchanges(self, settled: int) -> Tensor:
        """How much less the error would be with kept channel a (row; the first `settled` stay) exchanged for channel j.

        Without a, a residual E grows by u u^T / q, with Q the inverse of the kept channels' covariance, u = S_A Q_a and
        q = Q_aa; then j takes from it what it takes from any residual.
        """
        total = torch.zeros(len(self.kept) - settled, len(self.floors[0]), dtype=torch.float64)
        for view, residual, weighed, floor in zip(self.views, self.residuals, self.weighed, self.floors, strict=True):
            inner = view.covariance[self.kept][:, self.kept]
            load = 1e-12 * inner.diagonal().mean()
            inverse = torch.linalg.inv(inner + load * torch.eye(len(inner), dtype=torch.float64))
            u = (view.covariance[:, self.kept] @ inverse)[:, settled:].T  # (a, C)
            q = inverse.diagonal()[settled:].unsqueeze(1).clamp_min(1e-300)
            through = u @ view.metric
            cost = (through * u).sum(dim=1, keepdim=True)
            variance = residual.diagonal() + u.square() / q
            cross = 2 * (u / q) * (u @ weighed) + (u / q).square() * cost
            gain = ((weighed * residual).sum(dim=0) + cross) / variance.clamp_min(1e-300)
            total += torch.where(variance > floor, gain, 0.0) - cost / q
        total[:, self.kept] = -torch.inf
        return total


def _take(selection: Selection, width: int) -> None:
    """Add the best channel until `width` are kept, or nothing is left to explain."""
    while len(selection.kept) < width:
        gains = selection.gains()
        if gains.max() == -torch.inf:
            return
        alike = gains >= gains.max() * (1 - ALIKE)
        selection.add(int(torch.where(alike, selection.own, -torch.inf).argmax()))


def _exchange(selection: Selection, settled: int) -> Selection:
    """Exchange as long as it is worth it, the best pair first. Where all is rebuilt only rounding could be gained."""
    for _ in range(2 * len(selection.kept)):
        if len(selection.kept) == settled or selection.error() <= selection.nothing:
            break
        drops = selection.exchanges(settled)
        position, channel = divmod(int(drops.argmax()), drops.shape[1])
        if not drops[position, channel] > WORTH * selection.error():
            break
        selection = selection.replaced(settled + position, channel)
    return selection
