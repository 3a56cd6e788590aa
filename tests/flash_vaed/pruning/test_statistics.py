"""Calibration: moments of what really flows, from samples, repeatable, and without a trace on the decoder."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from flash_vaed.pruning import Statistics, calibrate
from flash_vaed.pruning.anatomy import anatomy
from flash_vaed.pruning.calibrate import observed
from flash_vaed.pruning.statistics import Moments, accumulate, pooled
from tests.flash_vaed.examples import random_latents


def test_every_tap_has_moments_and_what_is_written_a_sensitivity(teacher, statistics):
    written = {tap: site.channels for site in anatomy(teacher).sites.values() for tap in site.taps}
    read = {f"{path}:input" for path in observed(teacher)}
    assert set(statistics) == set(written) | read
    for tap, moments in statistics.items():
        channels = len(moments.mean)
        assert channels == written.get(tap, channels)
        assert moments.covariance.shape == (channels, channels)
        assert moments.covariance.dtype == torch.float64
        assert torch.linalg.eigvalsh(moments.covariance).min() > -1e-9
        assert (moments.sensitivity is not None) == (tap in written)


def test_the_sensitivity_of_a_linear_model_is_its_squared_jacobian():
    """frames = M x at every position, so the mean squared error of the frames is tr(M^T M E) over their channels."""
    mix = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    first, last = nn.Conv3d(3, 3, 1, bias=False), nn.Conv3d(3, 5, 1, bias=False)
    last.weight.data = mix.view(5, 3, 1, 1, 1)
    model = nn.Sequential(first, last).requires_grad_(False)
    clips = [torch.randn(1, 3, 4, 16, 16, generator=torch.Generator().manual_seed(s)) for s in range(4)]
    found = accumulate(model, ["0"], [], clips, 100, torch.Generator().manual_seed(0))["0"]
    expected = (mix.T @ mix / 5).double()
    assert (found.sensitivity - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("tap", ["stages.up0.upsampler", "stages.up2.blocks.0", "stages.up3.blocks.1"])
def test_the_sensitivity_foretells_what_small_errors_do_to_the_frames(teacher, tap):
    """Noise of a known covariance on what a layer writes, through all that follows: norms, kernels, upsamplers."""
    found = calibrate(teacher, [random_latents(3, 4, 4, seed=s) for s in range(6)], positions=64)[tap]
    assert found.sensitivity is not None
    channels = len(found.sensitivity)
    mix = 1e-3 * torch.randn(channels, channels, generator=torch.Generator().manual_seed(9))
    noise = torch.Generator().manual_seed(1)

    def disturb(_module, _inputs, output):
        return output + torch.einsum("dc,ncthw->ndthw", mix, torch.randn(output.shape, generator=noise))

    missed = []
    for seed in range(50, 54):
        z = random_latents(3, 4, 4, seed=seed)
        clean = teacher(z)
        hook = teacher.get_submodule(tap).register_forward_hook(disturb)
        missed.append((teacher(z) - clean).square().mean().item())
        hook.remove()
    foretold = torch.trace(found.sensitivity @ (mix @ mix.T).double()).item()
    assert sum(missed) / len(missed) == pytest.approx(foretold, rel=0.25)


def test_moments_are_those_of_the_features(teacher):
    """With many samples, against all positions of one tap: what enters up1."""
    z = random_latents(3, 4, 4)
    moments = calibrate(teacher, [z], positions=60_000)["stages.up0.upsampler"]
    rows = teacher.features(z)["up0"].movedim(1, -1).flatten(0, 3).double()
    spread = rows.std(dim=0).max()
    assert (moments.mean - rows.mean(dim=0)).abs().max() < 0.05 * spread
    assert (moments.covariance - rows.T.cov()).abs().max() < 0.05 * spread**2


def test_more_clips_are_pooled(teacher):
    clips = [random_latents(2, 4, 4, seed=s) for s in range(2)]
    apart = [calibrate(teacher, [z], positions=20_000)["stages.up0.upsampler"] for z in clips]
    together = calibrate(teacher, clips, positions=20_000)["stages.up0.upsampler"]
    mean = (apart[0].mean + apart[1].mean) / 2
    assert (together.mean - mean).abs().max() < 0.1 * together.covariance.diagonal().max().sqrt()


def test_a_batch_of_clips_is_its_clips_one_by_one(teacher):
    """With every position seen, exactly the same means and covariances."""
    clips = random_latents(2, n=2)
    batch = calibrate(teacher, [clips], positions=20_000)
    single = calibrate(teacher, list(clips.split(1)), positions=20_000)
    for tap, moments in batch.items():
        torch.testing.assert_close(moments.mean, single[tap].mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(moments.covariance, single[tap].covariance, atol=1e-4, rtol=1e-4)


def test_no_tap_of_a_site_drowns_another():
    """The pooled covariance is an average of shapes: a tap ten times louder counts no more."""
    quiet, loud = (torch.eye(3, dtype=torch.float64), torch.diag(torch.tensor([100.0, 0, 0], dtype=torch.float64)))
    mean = torch.zeros(3, dtype=torch.float64)
    shape = pooled([Moments(mean, quiet), Moments(mean, loud)]).covariance
    torch.testing.assert_close(shape / torch.trace(shape), (quiet / 3 + loud / 100) / 2)


def test_the_same_seed_gives_the_same_moments(teacher):
    z = [random_latents(2)]
    one, two, other = (calibrate(teacher, z, positions=64, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(one[name].covariance, two[name].covariance) for name in one)
    assert not torch.equal(one["stages.up3.blocks.0"].covariance, other["stages.up3.blocks.0"].covariance)


def test_calibration_leaves_no_hook(teacher):
    calibrate(teacher, [random_latents(1)], positions=8)
    with pytest.raises(ValueError, match="expected test latents"):
        calibrate(teacher, [random_latents(1), torch.zeros(1, 9, 1, 2, 2)])
    assert [
        name for name, module in teacher.named_modules() if module._forward_hooks or module._forward_pre_hooks
    ] == []


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
        assert (loaded[name].sensitivity is None) == (moments.sensitivity is None)
