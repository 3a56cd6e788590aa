"""Sharpness falls with blur, flicker rises with frame-to-frame noise, and both are 1 for the clip itself."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from bench.metrics import make_metric


def blurred(clip_CTHW: torch.Tensor, size: int) -> torch.Tensor:
    return F.avg_pool2d(clip_CTHW, size, stride=1, padding=size // 2, count_include_pad=False)


@pytest.mark.parametrize("name", ["sharpness", "flicker"])
def test_the_clip_itself_and_flat_clips_are_one(name, clip_CTHW):
    metric = make_metric(name)
    for clip in (clip_CTHW, torch.zeros_like(clip_CTHW), torch.ones_like(clip_CTHW)):
        assert torch.allclose(metric(clip, clip), torch.tensor(1.0, dtype=torch.float64))


def test_blur_loses_sharpness_in_order(clip_CTHW):
    values = [make_metric("sharpness")(clip_CTHW, blurred(clip_CTHW, size)).mean() for size in (1, 3, 5, 9)]
    assert values[0] == pytest.approx(1.0)
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.05


def test_noise_adds_sharpness_which_is_not_capped(clip_CTHW):
    smooth = blurred(clip_CTHW, 5)
    noise = 0.2 * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(0))
    assert (make_metric("sharpness")(smooth, (smooth + noise).clamp(-1, 1)) > 1.5).all()


def test_sharpness_scales_with_contrast_squared_and_ignores_brightness(clip_CTHW):
    values_T = make_metric("sharpness")(clip_CTHW, 0.5 * clip_CTHW + 0.1)
    torch.testing.assert_close(values_T, torch.full((5,), 0.25, dtype=torch.float64), atol=1e-3, rtol=0)


def test_sharpness_tells_frames_apart(clip_CTHW):
    candidate = clip_CTHW.clone()
    candidate[:, 2] = blurred(clip_CTHW, 5)[:, 2]
    values_T = make_metric("sharpness")(clip_CTHW, candidate)
    assert values_T.argmin() == 2
    assert torch.allclose(values_T[[0, 1, 3, 4]], torch.ones(4, dtype=torch.float64))


def test_brightness_that_flickers_on_a_still_clip_is_seen(clip_CTHW):
    still = clip_CTHW[:, :1].expand(-1, 5, -1, -1)
    flickering = still + 0.1 * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0]).view(1, 5, 1, 1)
    assert make_metric("flicker")(still, flickering) > 10
    assert make_metric("flicker")(flickering, still) < 0.1


def test_a_constant_error_is_no_flicker_and_a_frozen_clip_is_below_one(clip_CTHW):
    assert make_metric("flicker")(clip_CTHW, clip_CTHW + 0.15).item() == pytest.approx(1.0, abs=1e-5)
    frozen = clip_CTHW[:, :1].expand(-1, 5, -1, -1)
    assert make_metric("flicker")(clip_CTHW, frozen) < 0.05
