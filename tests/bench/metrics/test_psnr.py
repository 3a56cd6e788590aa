"""PSNR against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from bench.metrics import make_metric


@pytest.mark.parametrize("error", [0.5, 0.1, 0.01, 0.001])
def test_constant_error_has_a_known_value(error):
    reference = torch.zeros(3, 4, 8, 8)
    values_T = make_metric("psnr")(reference, reference + error)
    torch.testing.assert_close(
        values_T, torch.full((4,), 20 * math.log10(2 / error), dtype=torch.float64), atol=1e-4, rtol=0
    )


def test_same_result_as_on_eight_bit_pixels():
    """The range [-1, 1] is twice [0, 1]: the number equals the usual one with peak 255."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(0, 256, (3, 1, 16, 16), generator=generator).double() for _ in range(2))
    expected = 10 * torch.log10(255**2 / (a - b).square().mean())
    torch.testing.assert_close(make_metric("psnr")(a / 127.5 - 1, b / 127.5 - 1), expected[None])


@pytest.mark.faults
def test_identical_frames_are_capped_and_do_not_spoil_the_mean():
    reference = torch.zeros(3, 2, 8, 8)
    candidate = reference.clone()
    candidate[:, 1] = 0.2
    assert make_metric("psnr")(reference, candidate).tolist() == pytest.approx([100.0, 20.0], abs=1e-5)
    assert make_metric("psnr_mse")(reference, reference).item() == 100.0


def test_frames_are_told_apart():
    reference = torch.zeros(3, 3, 8, 8)
    candidate = reference + torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1, 1)
    values_T = make_metric("psnr")(reference, candidate)
    torch.testing.assert_close(-values_T.diff(), torch.full((2,), 20 * math.log10(2), dtype=torch.float64))


def test_mean_error_psnr_is_dominated_by_the_worst_frame():
    reference = torch.zeros(3, 2, 8, 8)
    candidate = reference + torch.tensor([0.02, 0.2]).view(1, 2, 1, 1)
    per_frame, per_clip = make_metric("psnr")(reference, candidate), make_metric("psnr_mse")(reference, candidate)
    assert per_clip.shape == ()
    assert per_clip < per_frame.mean()
    assert per_clip.item() == pytest.approx(10 * math.log10(4 / ((0.02**2 + 0.2**2) / 2)), abs=1e-4)


def test_mean_error_psnr_equals_psnr_when_frames_are_alike():
    reference = torch.zeros(3, 4, 8, 8)
    both = [make_metric(name)(reference, reference + 0.1).mean().item() for name in ("psnr", "psnr_mse")]
    assert both[0] == pytest.approx(both[1])
