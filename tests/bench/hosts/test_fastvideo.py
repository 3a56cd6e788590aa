"""The bench's FastVideo host around a pipeline of stages with its contract."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.hosts.fastvideo import FastVideo
from flash_vaed import save_decoder
from flash_vaed.hosts.fastvideo import FastVideoVae
from tests.bench.hosts.examples import CHOICE, setup, small_teacher
from tests.flash_vaed.examples import random_decoder


class InputValidationStage:
    def __call__(self, batch: Any, settings: Any) -> Any:
        batch.generator = torch.Generator().manual_seed(batch.seed)
        return batch


class TextEncodingStage:
    calls = 0

    def __call__(self, batch: Any, settings: Any) -> Any:
        self.calls += 1
        batch.prompt_embeds = [torch.tensor(float(len(batch.prompt)))]
        return batch


class DenoisingStage:
    def __call__(self, batch: Any, settings: Any) -> Any:
        batch.latents = torch.randn(1, 4, 2, 4, 4, generator=batch.generator) + 0.01 * batch.prompt_embeds[0]
        return batch


class DecodingStage:
    def __init__(self, vae: Any) -> None:
        self.vae = vae

    def decode(self, z: Tensor, settings: Any) -> Tensor:
        return (self.vae.decode(z) / 2 + 0.5).clamp(0, 1)

    def __call__(self, batch: Any, settings: Any) -> Any:
        batch.output = self.decode(batch.latents, settings)
        return batch


def request(prompt: str, seed: int) -> Any:
    return SimpleNamespace(
        prompt=prompt, seed=seed, prompt_embeds=[], negative_prompt_embeds=None, prompt_attention_mask=None,
        negative_attention_mask=None,
    )  # fmt: skip


@pytest.fixture
def host(tmp_path) -> FastVideo:
    vae, space = FastVideoVae(small_teacher()), small_teacher().latents
    vae.config = SimpleNamespace(
        latents_mean=space.mean, latents_std=space.std, scale_factor_temporal=4, scale_factor_spatial=8
    )
    stages = [InputValidationStage(), TextEncodingStage(), DenoisingStage(), DecodingStage(vae)]
    pipe = SimpleNamespace(modules={"vae": vae}, stages=stages)
    save_decoder(small_teacher(), tmp_path / "vae")
    choice = dataclasses.replace(CHOICE, name="fastvideo")
    return FastVideo(pipe, SimpleNamespace(), request, setup(choice), tmp_path / "vae")


def test_the_parts_make_the_whole(host):
    told = host.text("a cat")
    z = host.denoise(told, 5)
    assert host.pipe.stages[1].calls == 1
    assert z.shape == (1, 4, 2, 4, 4)
    frames = host.decode(z)
    assert frames.shape == (1, 3, 5, 32, 32)
    torch.testing.assert_close(frames, host.generate("a cat", 5), atol=1e-5, rtol=0)
    assert (host.denoise(told, 6) - z).abs().mean() > 0.1


def test_a_decoder_of_ours_goes_in_and_out(host):
    before, theirs = host.generate("a cat", 5), host.pipe.modules["vae"]
    host.use(host.own)
    torch.testing.assert_close(host.generate("a cat", 5), before, atol=1e-4, rtol=0)
    host.use(random_decoder(host.own.spec, seed=3), chunk=1)
    assert (host.generate("a cat", 5) - before).abs().mean() > 0.01
    host.use(None)
    assert host.pipe.modules["vae"] is theirs
    assert host.pipe.stages[3].vae is theirs


def test_a_pipeline_of_other_stages_is_refused(host, tmp_path):
    pipe = SimpleNamespace(modules=host.pipe.modules, stages=host.pipe.stages[:2])
    with pytest.raises(ValueError, match="no DecodingStage"):
        FastVideo(pipe, None, request, setup(), tmp_path)
