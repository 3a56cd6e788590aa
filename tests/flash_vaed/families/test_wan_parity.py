"""The decoder equals diffusers' `AutoencoderKLWan` on the same random weights, at any size, length and chunking."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flash_vaed import Decoder
from flash_vaed.families.wan import WAN22_LATENTS, wan_spec
from flash_vaed.layouts.wan_diffusers import WanDiffusers
from tests.flash_vaed.examples import random_latents, scramble

diffusers = pytest.importorskip("diffusers", reason="the extra `wan` is not installed")

EXACT = {"atol": 1e-4, "rtol": 0.0}
LENGTHS = [1, 2, 5, 22]
CHUNKS = [None, 1, 2, 3]

SMALL: dict[str, dict[str, Any]] = {
    "wan layout": {"decoder_base_dim": 8, "z_dim": 4},
    "16 channels": {"decoder_base_dim": 8, "z_dim": 16, "num_res_blocks": 1},
    "narrow top": {"decoder_base_dim": 12, "z_dim": 6, "dim_mult": [1, 2, 3, 3], "num_res_blocks": 3},
    "wide bottom": {"decoder_base_dim": 10, "z_dim": 5, "dim_mult": [2, 1, 1, 3], "num_res_blocks": 1},
    "time late": {"decoder_base_dim": 8, "z_dim": 4, "temperal_downsample": [True, True, False]},
    "two stages": {"decoder_base_dim": 8, "z_dim": 3, "dim_mult": [1, 2], "temperal_downsample": [True]},
    "wan 2.2": {
        "decoder_base_dim": 8, "z_dim": 4, "is_residual": True, "patch_size": 2, "in_channels": 12, "out_channels": 12,
    },
    "wan 2.2, other widths": {
        "decoder_base_dim": 6, "z_dim": 3, "dim_mult": [1, 2, 2], "temperal_downsample": [False, True],
        "is_residual": True, "num_res_blocks": 1,
    },
}  # fmt: skip


def make_vae(config: dict[str, Any], seed: int = 0) -> Any:
    """Diffusers' VAE with random weights, gains and biases included; a small encoder where the decoder is large."""
    z_dim = config["z_dim"]
    statistics = {"latents_mean": [0.1 * c for c in range(z_dim)], "latents_std": [1 + 0.1 * c for c in range(z_dim)]}
    vae = diffusers.AutoencoderKLWan(base_dim=4, **{**statistics, **config})
    scramble(vae, seed)
    return vae.eval().requires_grad_(False)


def ours_of(vae: Any) -> Decoder:
    spec, weights = WanDiffusers.read(vae.state_dict(), vae.config)
    decoder = Decoder(spec)
    decoder.load_state_dict(weights, strict=True)
    return decoder.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=SMALL)
def small(request) -> tuple[Any, Decoder]:
    vae = make_vae(SMALL[request.param])
    return vae, ours_of(vae)


@pytest.mark.parametrize("t", LENGTHS)
def test_small_decoders_give_diffusers_frames(small, t):
    vae, decoder = small
    z_NCthw = random_latents(t, 2, 3, n=2, channels=vae.config.z_dim, seed=t)
    expected = vae.decode(z_NCthw).sample
    assert expected.shape[2] == decoder.spec.frames_out(t)
    assert expected.std() > 0.1, "saturated or dead frames prove nothing"
    assert (expected.abs() == 1).float().mean() < 0.5
    for chunk in CHUNKS:
        torch.testing.assert_close(decoder.decode(z_NCthw, chunk), expected, **EXACT)


def test_the_weights_matter(small):
    """The comparison can fail: every single tensor, changed, shows in the frames."""
    vae, decoder = small
    z_NCthw = random_latents(3, 2, 2, channels=vae.config.z_dim)
    expected = decoder.decode(z_NCthw)
    for name, parameter in decoder.named_parameters():
        kept = parameter.clone()
        parameter.mul_(1.5).add_(0.3)
        silent = torch.allclose(decoder.decode(z_NCthw), expected, **EXACT)
        parameter.copy_(kept)
        assert not silent, f"{name} could hold anything"


@pytest.fixture(scope="module")
def full_size() -> tuple[Any, Decoder]:
    vae = make_vae({"decoder_base_dim": 96, "z_dim": 16})
    decoder = ours_of(vae)
    assert decoder.spec.stages == wan_spec().stages
    return vae, decoder


@pytest.mark.parametrize(
    ("t", "h", "w", "chunks"), [(1, 2, 2, [None]), (2, 2, 2, [1]), (5, 1, 2, CHUNKS), (22, 1, 1, [None, 3])]
)
def test_the_full_size_decoder_gives_diffusers_frames(full_size, t, h, w, chunks):
    vae, decoder = full_size
    z_NCthw = random_latents(t, h, w, channels=16, seed=t)
    expected = vae.decode(z_NCthw).sample
    assert expected.std() > 0.1
    for chunk in chunks:
        torch.testing.assert_close(decoder.decode(z_NCthw, chunk), expected, **EXACT)


def test_latent_statistics_come_from_the_config(small):
    vae, decoder = small
    assert decoder.latents.mean == tuple(vae.config.latents_mean)
    assert decoder.latents.std == tuple(vae.config.latents_std)


@pytest.fixture(scope="module")
def wan22() -> tuple[Any, Decoder]:
    """The decoder of Wan 2.2 TI2V-5B at a quarter of its widths, for the sake of time."""
    statistics = {"latents_mean": list(WAN22_LATENTS.mean), "latents_std": list(WAN22_LATENTS.std)}
    pixels = {"patch_size": 2, "in_channels": 12, "out_channels": 12}
    vae = make_vae({"decoder_base_dim": 64, "z_dim": 48, "is_residual": True, **pixels, **statistics})
    return vae, ours_of(vae)


@pytest.mark.parametrize(("t", "chunk"), [(1, None), (3, None), (3, 1)])
def test_the_wan_2_2_decoder_gives_diffusers_frames(wan22, t, chunk):
    vae, decoder = wan22
    assert decoder.spec == wan_spec(64, latents=WAN22_LATENTS, residual=True, patch=2)
    z_NCthw = random_latents(t, 1, 1, channels=48, seed=t)
    expected = vae.decode(z_NCthw).sample
    assert expected.std() > 0.1
    torch.testing.assert_close(decoder.decode(z_NCthw, chunk), expected, **EXACT)


def test_sixteen_channels_are_wans_latent_space():
    vae = diffusers.AutoencoderKLWan(base_dim=4)
    spec, _ = WanDiffusers.read(vae.state_dict(), vae.config)
    assert spec.latents == wan_spec().latents
