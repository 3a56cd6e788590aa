"""Structural similarity (Wang et al. 2004) per frame, through `pytorch_msssim`.

The usual choices: Gaussian window of 11 pixels with sigma 1.5, no padding, per colour channel, on [0, 1]. In float64,
because the variances are small differences of large numbers: reduced-precision convolutions on a GPU would show.
"""

from __future__ import annotations

from torch import Tensor

from bench.metrics.base import METRICS, Metric, NotApplicable
from bench.metrics.ranges import to_zero_one

WINDOW = 11  # pixels


@METRICS.register("ssim")
class Ssim(Metric):
    """SSIM of each frame, mean over pixels and colour channels; 1 is identical. Frames need 11 pixels each way."""

    name = "ssim"
    version = "1: gaussian 11 sigma 1.5, no padding, per channel, range [0, 1], float64"
    unit = "1"
    higher_is_better = True
    expected_range = (-1.0, 1.0)

    def measure(self, reference_CTHW: Tensor, candidate_CTHW: Tensor) -> Tensor:
        from pytorch_msssim import ssim

        height, width = reference_CTHW.shape[2:]
        if min(height, width) < WINDOW:
            raise NotApplicable(f"SSIM needs frames of at least {WINDOW} x {WINDOW} pixels, got {height} x {width}")
        frames = [to_zero_one(clip.double()).transpose(0, 1) for clip in (reference_CTHW, candidate_CTHW)]
        return ssim(*frames, data_range=1.0, size_average=False, win_size=WINDOW)
