"""Peak signal-to-noise ratio, frame by frame, in decibels: 10 log10(range^2 / MSE)."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.metrics.base import METRICS, Metric
from bench.metrics.ranges import DATA_RANGE

CAP_DB = 100.0  # identical frames would be infinite, and one of them would make every mean infinite


def decibels(mse: Tensor) -> Tensor:
    """PSNR of mean squared errors measured on [-1, 1], at most `CAP_DB`."""
    floor = DATA_RANGE**2 / 10 ** (CAP_DB / 10)
    return 10.0 * torch.log10(DATA_RANGE**2 / mse.clamp(min=floor))


def squared_error_T(reference_CTHW: Tensor, candidate_CTHW: Tensor) -> Tensor:
    """Mean squared error of each frame, in float64."""
    return (reference_CTHW.double() - candidate_CTHW.double()).square().mean(dim=(0, 2, 3))


@METRICS.register("psnr")
class Psnr(Metric):
    """PSNR of each frame over all pixels and channels; a clip's figure is the mean of its frames' decibels.

    `psnr_mse` averages before taking the logarithm. The two differ by up to a decibel when frames differ in quality.
    """

    name = "psnr"
    version = "1: per frame, data range 2, at most 100 dB"
    unit = "dB"
    higher_is_better = True
    expected_range = (0.0, CAP_DB)

    def measure(self, reference_CTHW: Tensor, candidate_CTHW: Tensor) -> Tensor:
        return decibels(squared_error_T(reference_CTHW, candidate_CTHW))
