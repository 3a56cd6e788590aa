"""Stock pipelines, tiny and with random transformers, give our decoder's frames of their own latents."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flash_vaed import Decoder, to_diffusers_folder
from flash_vaed.families.wan import wan_spec
from tests.flash_vaed.examples import random_decoder
from tests.flash_vaed.export.specs import small_ltx
from tests.flash_vaed.pipelines import generate, ltx_pipeline, wan_pipeline

pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
pytest.importorskip("transformers", reason="transformers is not installed, without which diffusers has no pipelines")


def latents_of(pipe: Any, decoder: Decoder) -> Tensor:
    """The raw latents behind `generate(pipe, "latent")`."""
    z = generate(pipe, "latent")
    if z.ndim == 3:  # LTX pipelines pack (N, C, t, h, w) into (N, t * h * w, C)
        t, h, w = decoder.spec.latent_shape(9, 32, 32)
        z = z.reshape(1, t, h, w, -1).movedim(-1, 1)
    return decoder.latents.denormalize(z)


def expected_frames(pipe: Any, decoder: Decoder) -> Tensor:
    return (decoder.decode(latents_of(pipe, decoder)) / 2 + 0.5).transpose(1, 2)


CASES = {"wan": (wan_pipeline, wan_spec(4, blocks_per_stage=1)), "ltx": (ltx_pipeline, small_ltx())}


@pytest.fixture(params=CASES)
def case(request, tmp_path, modules_cache) -> tuple[Any, Decoder, Path]:
    """How to make a pipeline around a VAE, a decoder for it, and the folder it was exported to."""
    build, spec = CASES[request.param]
    decoder = random_decoder(spec)
    to_diffusers_folder(decoder, tmp_path / "export")
    return build, decoder, tmp_path / "export"


def load(folder: Path) -> Any:
    from diffusers import AutoModel

    return AutoModel.from_pretrained(str(folder), trust_remote_code=True)


def test_a_pipeline_takes_the_folder_as_its_vae(case):
    build, decoder, folder = case
    pipe = build(load(folder))
    frames = generate(pipe, "pt")
    assert frames.shape == (1, 9, 3, 32, 32)
    assert frames.std() > 0.05
    torch.testing.assert_close(frames, expected_frames(pipe, decoder), atol=1e-5, rtol=0)


def test_a_pipeline_takes_it_in_place_of_another(case):
    build, decoder, folder = case
    to_diffusers_folder(random_decoder(decoder.spec, seed=5), folder.parent / "before")
    pipe = build(load(folder.parent / "before"))
    before = generate(pipe, "pt")
    pipe.vae = load(folder)
    frames = generate(pipe, "pt")
    torch.testing.assert_close(frames, expected_frames(pipe, decoder), atol=1e-5, rtol=0)
    assert (frames - before).abs().mean() > 0.01


def test_a_saved_pipeline_comes_back(case, tmp_path):
    build, _, folder = case
    pipe = build(load(folder))
    pipe.save_pretrained(tmp_path / "pipeline")
    absent = {name: None for name, part in pipe.components.items() if part is None}  # as diffusers wants to be told
    sys.modules.pop("diffusers_modules.local.modeling_flash_vaed")  # as in a new process
    again = type(pipe).from_pretrained(tmp_path / "pipeline", trust_remote_code=True, **absent)
    assert type(again.vae).__name__ == "FlashVaed"
    torch.testing.assert_close(again.vae.state_dict(), pipe.vae.state_dict(), atol=0, rtol=0)
    torch.testing.assert_close(generate(again, "pt"), generate(pipe, "pt"), atol=1e-5, rtol=0)


def test_a_pipeline_runs_in_half_precision(case):
    build, _, folder = case
    pipe = build(load(folder))
    expected = generate(pipe, "pt")
    pipe.vae.to(torch.bfloat16)
    assert (generate(pipe, "pt").float() - expected).abs().mean() < 0.02
