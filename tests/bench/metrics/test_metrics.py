"""What every metric promises: declared facts, strict inputs, sane values, and blindness to none of its faults."""

from __future__ import annotations

import math

import pytest
import torch

from bench.metrics import METRICS, NotApplicable, make_metric

USABLE = [name for name in METRICS if make_metric(name).unavailable() is None]


def damaged(clip_CTHW: torch.Tensor, strength: float) -> torch.Tensor:
    noise = torch.randn(clip_CTHW.shape, generator=torch.Generator().manual_seed(1))
    return (clip_CTHW + strength * noise).clamp(-1, 1)


def test_the_metrics_of_the_benchmark_are_there():
    assert {"psnr", "psnr_mse", "ssim", "lpips", "sharpness", "flicker"} <= set(METRICS.names())
    with pytest.raises(ValueError, match="did you mean 'psnr'"):
        make_metric("pnsr")


@pytest.mark.parametrize("name", METRICS.names())
def test_declared_facts(name):
    metric = make_metric(name)
    assert metric.name == name
    assert metric.version
    assert metric.unit in {"dB", "1"}
    assert isinstance(metric.higher_is_better, bool)
    low, high = metric.expected_range
    assert low < high
    reason = metric.unavailable()
    assert reason is None or ("\n" not in reason and (": pip" in reason or ": python" in reason))


@pytest.mark.parametrize("name", USABLE)
def test_values_are_per_frame_or_per_clip_finite_and_in_the_expected_range(name, clip_CTHW):
    metric = make_metric(name)
    for candidate in (clip_CTHW, damaged(clip_CTHW, 0.1), torch.zeros_like(clip_CTHW), -clip_CTHW):
        values = metric(clip_CTHW, candidate)
        assert values.shape in {(5,), ()}
        assert values.dtype == torch.float64
        assert torch.isfinite(values).all()
        assert (values >= metric.expected_range[0]).all()
        assert (values <= metric.expected_range[1]).all()


@pytest.mark.parametrize("name", ["psnr", "psnr_mse", "ssim"])
def test_more_damage_is_a_worse_value(name, clip_CTHW):
    metric = make_metric(name)
    values = [metric(clip_CTHW, damaged(clip_CTHW, strength)).mean().item() for strength in (0.0, 0.02, 0.1, 0.4)]
    assert values == sorted(values, reverse=metric.higher_is_better)
    assert len(set(values)) == 4


@pytest.mark.parametrize("name", USABLE)
def test_a_lost_contrast_is_seen(name, clip_CTHW):
    """No metric may rescale its inputs to fit: a clip at 80 % contrast is not the clip."""
    metric = make_metric(name)
    perfect, faded = metric(clip_CTHW, clip_CTHW).mean(), metric(clip_CTHW, 0.8 * clip_CTHW).mean()
    assert abs(perfect - faded) > 0.005


@pytest.mark.parametrize("name", USABLE)
def test_the_result_does_not_depend_on_autocast_or_layout(name, clip_CTHW):
    metric, other = make_metric(name), damaged(clip_CTHW, 0.1)
    plain = metric(clip_CTHW, other)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(metric(clip_CTHW, other), plain)
    strided = other.permute(1, 0, 2, 3).contiguous().permute(1, 0, 2, 3)
    torch.testing.assert_close(metric(clip_CTHW, strided), plain)


@pytest.mark.parametrize("name", USABLE)
def test_no_gradient_graph_is_kept(name, clip_CTHW):
    assert not make_metric(name)(clip_CTHW, damaged(clip_CTHW, 0.1).requires_grad_()).requires_grad


@pytest.mark.faults
@pytest.mark.parametrize("name", METRICS.names())
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x: x * 2, "leaves \\[-1, 1\\]"),
        (lambda x: (x + 1) * 127.5, "leaves \\[-1, 1\\]"),
        (lambda x: x.clone().index_fill_(1, torch.tensor([2]), math.nan), "not finite"),
        (lambda x: x.clone().index_fill_(1, torch.tensor([2]), math.inf), "not finite"),
        (lambda x: x[None], "shape \\(3, T, H, W\\)"),
        (lambda x: x.transpose(0, 1), "shape \\(3, T, H, W\\)"),
        (lambda x: x[:, :0], "shape \\(3, T, H, W\\)"),
        (lambda x: (x * 100).to(torch.uint8), "floating point"),
        (lambda x: x[:, :4], "differ in shape"),
        (lambda x: x[..., :-1], "differ in shape"),
    ],
)
def test_wrong_inputs_are_refused_on_either_side(name, spoil, words, clip_CTHW):
    metric = make_metric(name)
    with pytest.raises(ValueError, match=words):
        metric(clip_CTHW, spoil(clip_CTHW))
    with pytest.raises(ValueError, match=words):
        metric(spoil(clip_CTHW), clip_CTHW)


def test_rounding_beyond_one_is_tolerated(clip_CTHW):
    candidate = clip_CTHW.clone()
    candidate[0, 0, 0, 0] = 1.0005
    make_metric("psnr")(clip_CTHW, candidate)


@pytest.mark.parametrize(
    ("name", "shape"), [("ssim", (3, 2, 8, 64)), ("sharpness", (3, 2, 2, 9)), ("flicker", (3, 1, 64, 64))]
)
def test_clips_a_metric_is_not_defined_on_are_named(name, shape):
    with pytest.raises(NotApplicable, match="needs"):
        make_metric(name)(torch.zeros(shape), torch.zeros(shape))
