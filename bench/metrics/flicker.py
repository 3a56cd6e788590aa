"""Flicker added or motion lost: how much consecutive frames differ, candidate over reference.

A decoder without temporal context flickers where the source stands still; an over-smoothed one freezes small motion.
Neither is visible in per-frame metrics.
"""

from __future__ import annotations

from torch import Tensor

from bench.metrics.base import METRICS, Metric, NotApplicable

STILL = 1 / 255  # added to both differences (half a grey level), so that two still clips give 1 and not 0 / 0


@METRICS.register("flicker")
class Flicker(Metric):
    """Ratio of the mean absolute difference between consecutive frames, one value per clip of two frames or more.

    Best is nearest to 1. It counts as "lower is better" because the common fault is added flicker (above 1); a value
    clearly below 1 means that motion was smoothed away.
    """

    name = "flicker"
    version = "1: mean absolute frame difference, candidate / reference"
    unit = "1"
    higher_is_better = False
    expected_range = (0.0, 10.0)

    def measure(self, reference_CTHW: Tensor, candidate_CTHW: Tensor) -> Tensor:
        if reference_CTHW.shape[1] < 2:
            raise NotApplicable("flicker needs clips of at least two frames")
        return (_mean_change(candidate_CTHW) + STILL) / (_mean_change(reference_CTHW) + STILL)


def _mean_change(x_CTHW: Tensor) -> Tensor:
    return x_CTHW.double().diff(dim=1).abs().mean()
