"""Calibration: moments of what really flows, from samples, repeatable, and without a trace on the decoder."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from flash_vaed.pruning import Statistics, calibrate
from flash_vaed.pruning.sites import sites
from tests.flash_vaed.examples import random_latents


def test_every_site_has_moments_of_its_width(teacher, statistics):
    found = sites(teacher.spec)
    assert list(statistics) == list(found)
    for name, site in found.items():
        assert statistics[name].mean.shape == (site.channels,)
        assert statistics[name].covariance.shape == (site.channels, site.channels)
        assert statistics[name].covariance.dtype == torch.float64
        assert torch.linalg.eigvalsh(statistics[name].covariance).min() > -1e-9


def test_moments_are_those_of_the_features(teacher):
    """With many samples, against all positions of one tap: what enters up1."""
    z = random_latents(3, 4, 4)
    moments = calibrate(teacher, [z], positions=60_000)["up1.in"]
    rows = teacher.features(z)["up0"].movedim(1, -1).flatten(0, 3).double()
    spread = rows.std(dim=0).max()
    assert (moments.mean - rows.mean(dim=0)).abs().max() < 0.05 * spread
    assert (moments.covariance - rows.T.cov()).abs().max() < 0.05 * spread**2


def test_more_clips_are_pooled(teacher):
    clips = [random_latents(2, 4, 4, seed=s) for s in range(2)]
    apart = [calibrate(teacher, [z], positions=20_000)["up1.in"] for z in clips]
    together = calibrate(teacher, clips, positions=20_000)["up1.in"]
    mean = (apart[0].mean + apart[1].mean) / 2
    assert (together.mean - mean).abs().max() < 0.1 * together.covariance.diagonal().max().sqrt()


def test_no_tap_of_a_stream_drowns_another(teacher):
    """The pooled covariance of a stream is an average of shapes: a tap ten times louder counts no more."""
    site = sites(teacher.spec)["up3.stream"]
    assert site.taps == ("stages.up2", "stages.up3.blocks.0", "stages.up3.blocks.1")
    clip = random_latents(2, 4, 4)
    pooled = calibrate(teacher, [clip], positions=20_000)["up3.stream"].covariance
    shapes = []
    for stage, x in teacher.features(clip).items():
        if stage in ("up2", "up3"):
            covariance = x.movedim(1, -1).flatten(0, 3).double().T.cov()
            shapes.append(covariance / torch.trace(covariance))
    shape = pooled / torch.trace(pooled)
    assert (shape - (shapes[0] + shapes[1]) / 2).abs().max() < 0.1


def test_the_same_seed_gives_the_same_moments(teacher):
    z = [random_latents(2)]
    one, two, other = (calibrate(teacher, z, positions=64, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(one[name].covariance, two[name].covariance) for name in one)
    assert not torch.equal(one["up3.stream"].covariance, other["up3.stream"].covariance)


def test_calibration_leaves_no_hook(teacher):
    calibrate(teacher, [random_latents(1)], positions=8)
    with pytest.raises(ValueError, match="expected test latents"):
        calibrate(teacher, [random_latents(1), torch.zeros(1, 9, 1, 2, 2)])
    assert [name for name, module in teacher.named_modules() if module._forward_hooks] == []


def test_no_clips_are_refused(teacher):
    with pytest.raises(ValueError, match="calibration needs at least one clip"):
        calibrate(teacher, [])


def test_statistics_survive_a_file(statistics, tmp_path):
    save_file(statistics.to_tensors(), tmp_path / "s.safetensors")
    loaded = Statistics.from_tensors(load_file(tmp_path / "s.safetensors"))
    assert set(loaded) == set(statistics)
    for name, moments in statistics.items():
        assert torch.equal(loaded[name].mean, moments.mean)
        assert torch.equal(loaded[name].covariance, moments.covariance)
