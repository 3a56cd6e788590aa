"""The bench's Self-Forcing host around a pipeline with its contract: parts, the whole, and a decoder of ours in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.hosts.self_forcing import SelfForcing
from flash_vaed import save_decoder
from flash_vaed.hosts.self_forcing import SelfForcingVae
from tests.bench.hosts.examples import CHOICE, setup, small_teacher
from tests.flash_vaed.examples import random_decoder


class TheirVae(SelfForcingVae):
    """A VAE that tells its statistics, as Self-Forcing's wrapper does."""

    def __init__(self) -> None:
        super().__init__(small_teacher())
        self.mean, self.std = (torch.tensor(getattr(self.decoder.latents, name)) for name in ("mean", "std"))


class Pipeline:
    """`CausalInferencePipeline`, as far as it is used: blocks of three latents, then one decode."""

    def __init__(self) -> None:
        self.vae: Any = TheirVae()
        self.text_encoder: Any = lambda text_prompts: {"prompt_embeds": torch.tensor(float(len(text_prompts[0])))}

    def inference(self, noise: Tensor, text_prompts: list[str], return_latents: bool = False) -> Any:
        told = self.text_encoder(text_prompts=text_prompts)
        z = torch.cat([0.9 * block + 0.01 * torch.randn_like(block) for block in noise.split(3, 1)], 1)
        z = z + 0.01 * told["prompt_embeds"]
        video = (self.vae.decode_to_pixel(z, use_cache=False) * 0.5 + 0.5).clamp(0, 1)
        return (video, z) if return_latents else video


@pytest.fixture
def host(tmp_path) -> SelfForcing:
    save_decoder(small_teacher(), tmp_path / "own")
    choice = dataclasses.replace(CHOICE, name="self_forcing", frames=21)
    space = small_teacher().latents
    return SelfForcing(Pipeline(), setup(choice), tmp_path / "own", torch.float32, space)


def test_the_parts_make_the_whole(host):
    z = host.denoise(host.text("a cat"), 5)
    assert z.shape == (1, 4, 6, 4, 4)
    frames = host.decode(z)
    assert frames.shape == (1, 3, 21, 32, 32)
    torch.testing.assert_close(frames, host.generate("a cat", 5), atol=1e-5, rtol=0)
    assert (host.denoise(host.text("a longer cat"), 5) - z).abs().min() > 0.01


def test_a_decoder_of_ours_goes_in_and_out(host):
    before, theirs = host.generate("a cat", 5), host.pipe.vae
    host.use(host.own)
    torch.testing.assert_close(host.generate("a cat", 5), before, atol=1e-4, rtol=0)
    host.use(random_decoder(host.own.spec, seed=3))
    assert (host.generate("a cat", 5) - before).abs().mean() > 0.01
    host.first_frames("a cat", 5)
    host.use(None)
    assert host.pipe.vae is theirs
    torch.testing.assert_close(host.generate("a cat", 5), before, atol=0, rtol=0)


def test_latents_alone_leave_the_pipeline_as_it_was(host):
    encoder, vae = host.pipe.text_encoder, host.pipe.vae
    host.denoise(host.text("a cat"), 5)
    assert host.pipe.text_encoder is encoder
    assert host.pipe.vae is vae


def test_clips_that_are_no_whole_blocks_are_refused(tmp_path):
    choice = dataclasses.replace(CHOICE, name="self_forcing", frames=17)
    odd = SelfForcing(Pipeline(), setup(choice), tmp_path, torch.float32, small_teacher().latents)
    with pytest.raises(ValueError, match="blocks of 3 latents"):
        odd.denoise(odd.text("a cat"), 5)


def test_another_size_is_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(ValueError, match=r"host\.height=480 host\.width=832"):
        SelfForcing.start(setup(self_forcing_root=str(tmp_path)))
