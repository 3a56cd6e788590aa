"""Self-Forcing's contract: normalised latents, frames second, streams that equal the whole; and its real pipeline."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flash_vaed import Decoder
from flash_vaed.families.wan import wan_spec
from flash_vaed.hosts.self_forcing import SelfForcingVae, install, installed, uninstall
from tests.flash_vaed.examples import random_decoder, tiny_spec
from tests.flash_vaed.export.specs import small_ltx


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return random_decoder(wan_spec(4, blocks_per_stage=1))


def latents(t: int, n: int = 1) -> Tensor:
    """Normalised, (n, t, 16, 4, 6)."""
    return torch.randn(n, t, 16, 4, 6, generator=torch.Generator().manual_seed(0))


def expected(decoder: Decoder, latent: Tensor) -> Tensor:
    raw = decoder.latents.denormalize(latent.transpose(1, 2))
    return decoder.decode(raw, expect=None).transpose(1, 2)


class TheirVae(nn.Module):
    """What an installed VAE replaces: statistics, and an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.std = (torch.tensor(v) for v in (wan_spec().latents.mean, wan_spec().latents.std))

    def encode_to_latent(self, pixel: Tensor) -> Tensor:
        return pixel.mean(dim=(3, 4))


@pytest.mark.parametrize("clips", [1, 2])
def test_a_whole_clip_is_denormalised_once(decoder, clips):
    frames = SelfForcingVae(decoder).decode_to_pixel(latents(6, clips))
    assert frames.shape == (clips, 21, 3, 32, 48)
    assert frames.dtype == torch.float32
    torch.testing.assert_close(frames, expected(decoder, latents(6, clips)), atol=1e-5, rtol=0)


def test_blocks_with_use_cache_are_the_whole_clip(decoder):
    vae, z = SelfForcingVae(decoder), latents(6)
    for _ in range(2):  # the second time after clear_cache
        blocks = [vae.decode_to_pixel(block, use_cache=True) for block in z.split(3, dim=1)]
        assert [block.shape[1] for block in blocks] == [9, 12]
        torch.testing.assert_close(torch.cat(blocks, 1), vae.decode_to_pixel(z), atol=1e-5, rtol=0)
        vae.model.clear_cache()


def test_a_whole_clip_does_not_disturb_a_stream(decoder):
    vae, z = SelfForcingVae(decoder), latents(6)
    first = vae.decode_to_pixel(z[:, :3], use_cache=True)
    vae.decode_to_pixel(latents(2))
    second = vae.decode_to_pixel(z[:, 3:], use_cache=True)
    torch.testing.assert_close(torch.cat([first, second], 1), vae.decode_to_pixel(z), atol=1e-5, rtol=0)


def test_the_demo_gets_its_surplus_frames_and_the_exact_clip_behind_them(decoder):
    vae, z = SelfForcingVae(decoder), latents(6)
    cache: list[Any] = [torch.zeros(1)] * 32
    shown = []
    for number, block in enumerate(z.split(3, dim=1)):
        pixels, cache = vae(block.half(), *cache)
        assert pixels.shape[1] == 12
        shown.append(pixels[:, 3:] if number == 0 else pixels)
    torch.testing.assert_close(torch.cat(shown, 1), expected(decoder, z.half().float()), atol=1e-5, rtol=0)


def test_a_cast_pipeline_casts_the_decoder_and_not_the_statistics():
    decoder = random_decoder(wan_spec(4, blocks_per_stage=1))
    exact = expected(decoder, latents(2))
    frames = SelfForcingVae(decoder).to(dtype=torch.bfloat16).decode_to_pixel(latents(2).bfloat16())
    assert frames.dtype == torch.float32
    assert (frames - exact).abs().mean() < 0.02


def test_install_and_uninstall(decoder):
    theirs = TheirVae()
    pipe = SimpleNamespace(vae=theirs)
    with installed(pipe, decoder):
        assert pipe.vae.decode_to_pixel(latents(1)).shape == (1, 1, 3, 32, 48)
        clip = torch.rand(1, 3, 1, 8, 8)
        torch.testing.assert_close(pipe.vae.encode_to_latent(clip), clip.mean(dim=(3, 4)))
        with pytest.raises(ValueError, match="uninstall"):
            install(pipe, decoder)
    assert pipe.vae is theirs
    with pytest.raises(ValueError, match="no decoder of ours"):
        uninstall(pipe)


def test_what_does_not_fit_is_refused(decoder):
    vae = SelfForcingVae(decoder)
    with pytest.raises(ValueError, match=r"\(N, t, 16, h, w\).*axes 1 and 2 look exchanged"):
        vae.decode_to_pixel(torch.zeros(1, 16, 6, 4, 6))
    with pytest.raises(ValueError, match="floating point"):
        vae.decode_to_pixel(torch.zeros(1, 6, 16, 4, 6, dtype=torch.int64))
    with pytest.raises(ValueError, match="one clip at a time"):
        vae.decode_to_pixel(latents(3, 2), use_cache=True)
    with pytest.raises(ValueError, match="decoder only"):
        vae.encode_to_latent(torch.zeros(1, 3, 1, 8, 8))
    with pytest.raises(ValueError, match="looks ahead"):
        SelfForcingVae(random_decoder(small_ltx()))
    with pytest.raises(ValueError, match="16 channels"):
        install(SimpleNamespace(vae=TheirVae()), random_decoder(tiny_spec()))
    with pytest.raises(ValueError, match="no VAE"):
        install(SimpleNamespace(), decoder)


class Scheduler:
    timesteps = torch.linspace(1000, 1, 1000)

    def add_noise(self, clean: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        return clean + 0.1 * noise


class Generator(nn.Module):
    """The least that Self-Forcing's pipeline asks of its model."""

    def __init__(self) -> None:
        super().__init__()
        self.model = SimpleNamespace(local_attn_size=1)

    def get_scheduler(self) -> Scheduler:
        return Scheduler()

    def forward(self, noisy_image_or_video: Tensor, **_: object) -> tuple[None, Tensor]:
        return None, 0.9 * noisy_image_or_video


@pytest.fixture
def real_pipeline(monkeypatch) -> Any:
    """The real class of a checkout, with a stub for model and text encoder, on a CPU."""
    root = os.environ.get("SELF_FORCING_ROOT")
    if root is None or not (Path(root) / "pipeline" / "causal_inference.py").is_file():
        pytest.skip("SELF_FORCING_ROOT names no checkout of guandeh17/Self-Forcing")
    monkeypatch.setattr(sys, "path", [root, *sys.path])
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    try:
        from pipeline.causal_inference import CausalInferencePipeline
    except ImportError as error:
        pytest.skip(f"Self-Forcing's own packages are not installed ({error})")
    told = SimpleNamespace(
        denoising_step_list=[1000, 500], warp_denoising_step=True, num_frame_per_block=3,
        independent_first_frame=False, context_noise=0,
    )  # fmt: skip

    def prompts(text_prompts: list[str]) -> dict[str, Tensor]:
        return {"prompt_embeds": torch.zeros(len(text_prompts), 512, 8)}

    pipe = CausalInferencePipeline(told, "cpu", generator=Generator(), text_encoder=prompts, vae=TheirVae())
    pipe.num_transformer_blocks, pipe.frame_seq_length, pipe.local_attn_size = 1, 1, 1
    return pipe


@pytest.mark.parametrize("clips", [1, 2])
def test_the_real_pipeline_decodes_with_ours(real_pipeline, decoder, clips, capsys):
    noise = latents(6, clips)
    with installed(real_pipeline, decoder):
        video, z = real_pipeline.inference(noise, ["a cat"] * clips, return_latents=True)
        streamed = torch.cat([
            torch.cat([real_pipeline.vae.decode_to_pixel(b, use_cache=True) for b in clip[None].split(3, 1)], 1)
            for clip in z if not real_pipeline.vae.model.clear_cache()
        ])  # fmt: skip
    assert video.shape == (clips, 21, 3, 32, 48)
    torch.testing.assert_close(video, expected(decoder, z) / 2 + 0.5, atol=1e-4, rtol=0)
    torch.testing.assert_close(streamed / 2 + 0.5, video, atol=1e-4, rtol=0)
