"""SSIM against an independent, direct evaluation of its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.metrics import make_metric


def direct_ssim(a_HW: np.ndarray, b_HW: np.ndarray) -> float:
    """Wang et al. 2004 on [0, 1]: Gaussian 11, sigma 1.5, valid windows, written as plain loops over the window."""
    offsets = np.arange(11) - 5
    weights = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(weights, weights) / weights.sum() ** 2

    def blurred(x: np.ndarray) -> np.ndarray:
        height, width = x.shape[0] - 10, x.shape[1] - 10
        return sum(window[i, j] * x[i : i + height, j : j + width] for i in range(11) for j in range(11))

    mean_a, mean_b = blurred(a_HW), blurred(b_HW)
    var_a, var_b = blurred(a_HW**2) - mean_a**2, blurred(b_HW**2) - mean_b**2
    covariance = blurred(a_HW * b_HW) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float((luminance * (2 * covariance + c2) / (var_a + var_b + c2)).mean())


def test_equals_the_definition(clip_CTHW):
    noise = torch.randn(clip_CTHW.shape, generator=torch.Generator().manual_seed(2))
    candidate = (clip_CTHW * 0.7 + 0.2 * noise + 0.1).clamp(-1, 1)
    values_T = make_metric("ssim")(clip_CTHW, candidate)
    for t in range(2):
        pairs = [((x.double().numpy() + 1) / 2 for x in (clip_CTHW[c, t], candidate[c, t])) for c in range(3)]
        assert abs(values_T[t].item() - np.mean([direct_ssim(*pair) for pair in pairs])) < 1e-6


def test_identical_is_one_and_negative_is_negative(clip_CTHW):
    assert torch.allclose(make_metric("ssim")(clip_CTHW, clip_CTHW), torch.ones(5, dtype=torch.float64))
    assert (make_metric("ssim")(clip_CTHW, -clip_CTHW) < 0).all()


@pytest.mark.faults
def test_window_sized_frames_work():
    assert make_metric("ssim")(torch.zeros(3, 2, 11, 11), torch.zeros(3, 2, 11, 11)).tolist() == [1.0, 1.0]
