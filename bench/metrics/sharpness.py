"""Sharpness kept or lost: the variance of the Laplacian, candidate over reference.

Pruned decoders blur. PSNR rewards blur where the detail is hard to predict; this ratio shows it.
The variance of the Laplacian as a focus measure: Pech-Pacheco et al., ICPR 2000.
"""

from __future__ import annotations

from torch import Tensor

from bench.metrics.base import METRICS, Metric, NotApplicable
from bench.metrics.ranges import luma

FLAT = (1 / 255) ** 2  # added to both variances, so that two flat frames give 1 and not 0 / 0


@METRICS.register("sharpness")
class Sharpness(Metric):
    """Ratio of Laplacian variances of luma, per frame: 1 is as sharp as the reference, 0 is all detail lost.

    Best is nearest to 1. It counts as "higher is better" because a decoder that was cut down loses detail; a value
    clearly above 1 means ringing or noise, not quality.
    """

    name = "sharpness"
    version = "1: 4-neighbour Laplacian variance of BT.601 luma, candidate / reference"
    unit = "1"
    higher_is_better = True
    expected_range = (0.0, 10.0)

    def measure(self, reference_CTHW: Tensor, candidate_CTHW: Tensor) -> Tensor:
        if min(reference_CTHW.shape[2:]) < 3:
            raise NotApplicable("sharpness needs frames of at least 3 x 3 pixels")
        reference_T, candidate_T = _laplacian_variance(reference_CTHW), _laplacian_variance(candidate_CTHW)
        return (candidate_T + FLAT) / (reference_T + FLAT)


def _laplacian_variance(x_CTHW: Tensor) -> Tensor:
    """Variance `(T,)` over the inner pixels; by slicing, which is exact on every device."""
    y = luma(x_CTHW.double())
    centre = y[:, 1:-1, 1:-1]
    laplacian = y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:] - 4.0 * centre
    return laplacian.var(dim=(1, 2), correction=0)
