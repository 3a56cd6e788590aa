"""PSNR of a clip's mean squared error: one number, dominated by the worst frames. See `psnr` for the per-frame one."""

from __future__ import annotations

from torch import Tensor

from bench.metrics.base import METRICS, Metric
from bench.metrics.psnr import CAP_DB, decibels, squared_error_T


@METRICS.register("psnr_mse")
class PsnrOfMeanError(Metric):
    """PSNR of the error averaged over all frames, pixels and channels; never above the mean of `psnr`."""

    name = "psnr_mse"
    version = "1: per clip, data range 2, at most 100 dB"
    unit = "dB"
    higher_is_better = True
    expected_range = (0.0, CAP_DB)

    def measure(self, reference_CTHW: Tensor, candidate_CTHW: Tensor) -> Tensor:
        return decibels(squared_error_T(reference_CTHW, candidate_CTHW).mean())
