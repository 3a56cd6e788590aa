"""The terms: zero where nothing differs, growing with the difference, defined on the smallest clips."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bench.metrics import make_metric
from flash_vaed.distill.losses import (
    PixelLoss,
    detail_energy,
    frame_ssim,
    laplacian,
    psnr,
    relative_mse,
    temporal_difference,
)
from flash_vaed.lpips import LpipsNetwork
from tests.flash_vaed.examples import SmoothVideo


def noisy(x: Tensor, strength: float) -> Tensor:
    return x + strength * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def test_the_pixel_loss_is_zero_at_the_target_and_grows():
    x = next(SmoothVideo())
    losses = [PixelLoss()(noisy(x, strength), x).item() for strength in (0.0, 0.05, 0.2)]
    assert losses[0] == pytest.approx(0, abs=1e-5)
    assert losses[0] < losses[1] < losses[2]


def test_the_pixel_loss_has_the_papers_weights():
    """10 mean absolute difference, and 5 (1 - SSIM) where SSIM is that of the clamped frames."""
    x = next(SmoothVideo())
    y = noisy(x, 0.1)
    expected = 10 * (x - y).abs().mean() + 5 * (1 - frame_ssim(y, x))
    assert PixelLoss()(y, x).item() == pytest.approx(expected.item())


def test_ssim_is_one_for_equal_frames_and_symmetric():
    x = next(SmoothVideo())
    y = noisy(x, 0.2)
    assert frame_ssim(x, x).item() == pytest.approx(1, abs=1e-6)
    assert frame_ssim(x, y).item() == pytest.approx(frame_ssim(y, x).item(), abs=1e-6)
    assert frame_ssim(x, y).item() < 0.9


@pytest.mark.parametrize("size", [2, 7, 8, 11, 16])
@pytest.mark.filterwarnings("error")
def test_ssim_is_defined_on_frames_of_any_size(size):
    x = next(SmoothVideo(frames=1, size=size))
    assert frame_ssim(x, x).item() == pytest.approx(1, abs=1e-5)


def test_gradients_pass_where_frames_leave_the_range():
    """The clamp inside SSIM has no slope outside; L1 must still pull."""
    x = torch.full((1, 3, 1, 16, 16), 3.0, requires_grad=True)
    PixelLoss()(x, torch.zeros(1, 3, 1, 16, 16)).backward()
    assert (x.grad > 0).all()


def test_the_relative_error_ignores_loudness():
    x = next(SmoothVideo())
    y = noisy(x, 0.1)
    assert relative_mse(100 * y, 100 * x).item() == pytest.approx(relative_mse(y, x).item(), rel=1e-4)
    assert relative_mse(torch.zeros_like(x), x).item() == pytest.approx(1, rel=1e-4)
    assert relative_mse(x, torch.zeros_like(x)).isfinite()


def test_the_temporal_difference_is_motion():
    x = next(SmoothVideo())
    assert torch.equal(temporal_difference(x), x[:, :, 1:] - x[:, :, :-1])
    assert temporal_difference(x[:, :, :1].expand(-1, -1, 4, -1, -1)).abs().max() == 0
    assert torch.equal(temporal_difference(x[:, :, :1]), x[:, :, :1])


def test_the_laplacian_sees_detail_and_no_flat_colour():
    assert laplacian(torch.full((1, 3, 2, 8, 8), 0.7)).abs().max() < 1e-6
    ramp = torch.linspace(-1, 1, 32).expand(1, 3, 1, 32, 32)
    board = (torch.arange(32) % 2 * 2.0 - 1).expand(1, 3, 1, 32, 32)
    assert laplacian(board).abs().mean() > 10 * laplacian(ramp).abs().mean()


def test_with_lpips_the_pixel_loss_has_the_papers_third_term():
    """Random weights: how much LPIPS is worth does not depend on them."""
    torch.manual_seed(0)
    network = LpipsNetwork().eval().requires_grad_(False)
    x = next(SmoothVideo(frames=2, size=32))
    y = noisy(x, 0.1)
    frames = [clip.transpose(1, 2).flatten(0, 1).clamp(-1, 1) for clip in (x, y)]
    expected = PixelLoss()(y, x) + 2 * network(*frames).mean()
    assert PixelLoss(network)(y, x).item() == pytest.approx(expected.item(), rel=1e-5)


def test_psnr_is_that_of_the_clamped_frames_clip_by_clip():
    x = torch.zeros(2, 3, 1, 4, 4)
    y = x + torch.tensor([0.2, 0.02]).view(2, 1, 1, 1, 1)
    assert psnr(y, x).item() == pytest.approx((20 + 40) / 2, abs=1e-3)
    assert psnr(x + 5, x + 1).item() == pytest.approx(100, abs=1e-3)


def test_means_are_over_clips_so_that_a_batch_may_be_split():
    x = torch.cat([next(SmoothVideo()), 0.01 * next(SmoothVideo(seed=1))])
    y = noisy(x, 0.05)
    for term in (PixelLoss(), relative_mse, psnr, detail_energy):
        halves = [term(y[part], x[part]).item() for part in (slice(0, 2), slice(2, 4))]
        assert term(y, x).item() == pytest.approx(sum(halves) / 2, rel=1e-4)


def test_the_energy_of_detail_asks_for_as_much_as_there_was():
    x = noisy(next(SmoothVideo()), 0.3)
    soft = x - 0.5 * laplacian(x)
    sharp = x + 0.5 * laplacian(x)
    assert detail_energy(x, x).item() == pytest.approx(0, abs=1e-5)
    assert detail_energy(soft, x) > 0.5
    assert detail_energy(sharp, x) > 0.3


def test_the_energy_of_detail_is_the_sharpness_that_runs_are_judged_by():
    """One frame: the metric of the bench takes luma on [-1, 1] as this term does."""
    x = noisy(next(SmoothVideo(frames=1)), 0.3).clamp(-1, 1)[:1]
    soft = (x - 0.5 * laplacian(x)).clamp(-1, 1)
    ratio = make_metric("sharpness")(x[0], soft[0]).item()
    assert detail_energy(soft, x).item() == pytest.approx(abs(math.log(ratio)), rel=0.02)
