"""A checkpoint's encoder is diffusers' own, with its weights and no others, and gives the posterior's mode."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flash_vaed import load_teacher
from tests.flash_vaed.examples import random_latents, scramble
from tests.flash_vaed.layouts.released import shapes

diffusers = pytest.importorskip("diffusers", reason="the extra `wan` is not installed")

EXACT = {"atol": 1e-4, "rtol": 0.0}


def video(frames: int, side: int) -> Tensor:
    return torch.rand(1, 3, frames, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def narrow_wan(folder: Path) -> Path:
    """`Wan2.1_VAE.pth` at a twelfth of its widths, random, and diffusers' config of it beside it in a folder."""
    generator, weights = torch.Generator().manual_seed(0), {}
    for key, shape in shapes("wan2.1_vae").items():
        sizes = [size if size in (1, 3, 16, 32) else size // 12 for size in shape[:2]] + shape[2:]
        noise = torch.randn(sizes, generator=generator)
        gain = key.endswith("gamma")
        weights[key] = 1 + 0.1 * noise if gain else noise / max(noise[0].numel(), 1) ** 0.5
    torch.save(weights, folder / "narrow.pth")
    diffusers.AutoencoderKLWan(base_dim=8).save_config(folder / "config")
    return folder / "narrow.pth"


def test_wans_own_file_encodes_as_diffusers_reads_it(tmp_path):
    file = narrow_wan(tmp_path)
    vae = diffusers.AutoencoderKLWan.from_single_file(str(file), config=str(tmp_path / "config")).eval()
    teacher = load_teacher(file)
    x_NCTHW = video(9, 16)
    with torch.no_grad():
        expected = vae.encode(x_NCTHW).latent_dist.mode()
        assert expected.std() > 0.01
        torch.testing.assert_close(teacher.encode(x_NCTHW), expected, **EXACT)
        z_NCthw = random_latents(3, channels=16)
        torch.testing.assert_close(teacher.decoder.decode(z_NCthw), vae.decode(z_NCthw).sample, **EXACT)
    assert not any(parameter.is_meta for parameter in teacher.encoder.parameters()), "nothing is left unfilled"
    assert len(teacher.fingerprint) == 12


@pytest.fixture(scope="module")
def ltx() -> Any:
    sizes = {"block_out_channels": (4, 4, 4, 4), "layers_per_block": (1, 1, 1, 1, 1)}
    decoder = {f"decoder_{name}": value for name, value in sizes.items()}
    vae = diffusers.AutoencoderKLLTXVideo(latent_channels=6, **sizes, **decoder)
    return scramble(vae).eval().requires_grad_(False)


def test_an_ltx_folder_is_a_teacher(ltx, tmp_path):
    ltx.save_pretrained(tmp_path)
    teacher = load_teacher(tmp_path)
    x_NCTHW = video(9, 64)
    torch.testing.assert_close(teacher.encode(x_NCTHW), ltx.encode(x_NCTHW).latent_dist.mode(), **EXACT)
    z_NCthw = random_latents(2, channels=6)
    torch.testing.assert_close(teacher.decoder.decode(z_NCthw), ltx.decode(z_NCthw).sample.clamp(-1, 1), **EXACT)


def test_a_teachers_fingerprint_follows_its_encoder(ltx, tmp_path):
    ltx.save_pretrained(tmp_path / "one")
    other = copy.deepcopy(ltx)
    other.encoder.conv_in.conv.bias[0] += 1e-3
    other.save_pretrained(tmp_path / "other")
    assert load_teacher(tmp_path / "one").fingerprint != load_teacher(tmp_path / "other").fingerprint
