"""The teacher that ships with the package: it loads, its record keeps the promises, diffusers can hold its decoder."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from flash_vaed import Teacher, load_decoder, load_teacher
from flash_vaed.pretrain import PretrainRecipe
from flash_vaed.teacher import BUNDLED
from tests.flash_vaed.examples import SmoothVideo, random_latents

MAX_BYTES = 12 * 10**6
MIN_PSNR_DB = 26.0
MAX_CPU_MINUTES = 90


@pytest.fixture(scope="module")
def bundled() -> Teacher:
    return load_teacher("bundled")


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return json.loads((BUNDLED / "training.json").read_text())


def test_it_has_wans_five_stages_and_geometry(bundled):
    spec = bundled.decoder.spec
    assert bundled.name == "bundled"
    assert list(spec.stages) == ["mid", "up0", "up1", "up2", "up3"]
    assert (spec.spatial_scale, spec.temporal_scale) == (8, 4)
    assert {stage.operator for stage in spec.stages.values()} == {"conv3d"}
    assert spec.stages["mid"].attention
    assert min(stage.channels for stage in spec.stages.values()) // 8 >= 2, "a width of 1/8 must leave several channels"


def test_it_encodes_and_decodes(bundled):
    x_NCTHW = next(SmoothVideo(frames=9, size=32))
    z_NCthw = bundled.encode(x_NCTHW)
    frames = bundled.decoder.decode(z_NCthw)
    assert frames.shape == x_NCTHW.shape
    assert frames.isfinite().all()
    torch.testing.assert_close(bundled.decoder.decode(z_NCthw, chunk=1), frames, atol=1e-4, rtol=0)
    assert torch.equal(load_decoder(BUNDLED).decode(z_NCthw), frames)


def test_it_is_small_enough_to_ship():
    files = [file for file in BUNDLED.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".md"}, sorted(file.name for file in files)
    assert sum(file.stat().st_size for file in files) <= MAX_BYTES


def test_its_record_keeps_the_promise(record):
    scores = record["heldout_psnr_db"]
    assert scores
    assert record["heldout_psnr_mean_db"] == pytest.approx(sum(scores.values()) / len(scores))
    assert record["heldout_psnr_mean_db"] >= MIN_PSNR_DB
    assert record["cpu_minutes"] <= MAX_CPU_MINUTES
    assert not set(scores) & set(record["train_clips"]), "held-out clips were trained on"


def test_its_recipe_is_one_this_version_reads(record, bundled):
    recipe = PretrainRecipe(**{k: tuple(v) if isinstance(v, list) else v for k, v in record["recipe"].items()})
    assert recipe.latent_channels == bundled.decoder.latents.channels
    assert recipe.base_channels == bundled.decoder.spec.stages["up3"].channels
    assert record["command"].startswith("python -m bench pretrain")


def test_diffusers_gives_the_same_frames_from_its_weights(bundled):
    """Its decoder is Wan's: put into `AutoencoderKLWan` under diffusers' names, it decodes alike."""
    diffusers = pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
    from flash_vaed.layouts.wan_diffusers import WanDiffusers

    spec, latents = bundled.decoder.spec, bundled.decoder.latents
    widths = [stage.channels for stage in spec.stages.values()][:0:-1]
    vae = diffusers.AutoencoderKLWan(
        base_dim=4, decoder_base_dim=widths[0], dim_mult=[width // widths[0] for width in widths],
        num_res_blocks=spec.stages["up0"].num_blocks - 1, z_dim=latents.channels,
        latents_mean=list(latents.mean), latents_std=list(latents.std),
    ).eval().requires_grad_(False)  # fmt: skip
    ours = bundled.decoder.state_dict()
    found, theirs = WanDiffusers.read(vae.state_dict(), vae.config)
    assert found.stages == spec.stages
    assert theirs.keys() == ours.keys()
    for name, value in theirs.items():
        value.copy_(ours[name])  # renamed views: this fills diffusers' own tensors
    z_NCthw = latents.denormalize(random_latents(3, channels=latents.channels))
    torch.testing.assert_close(bundled.decoder.decode(z_NCthw), vae.decode(z_NCthw).sample, atol=1e-4, rtol=0)
