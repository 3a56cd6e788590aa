"""A decoder in diffusers' pipelines: the exact copy changes no pixel, and nothing of it stays behind."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from flash_vaed import Decoder
from flash_vaed.families.wan import wan_spec
from flash_vaed.hosts.diffusers import decoder_of, install, installed, uninstall
from tests.flash_vaed.examples import random_decoder, tiny_spec
from tests.flash_vaed.pipelines import PIPELINES, generate, wan_pipeline, wan_vae

pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
pytest.importorskip("transformers", reason="transformers is not installed, without which diffusers has no pipelines")


@pytest.fixture(params=PIPELINES)
def pipe(request) -> Any:
    build, vae = PIPELINES[request.param]
    torch.manual_seed(0)
    return build(vae())


@pytest.fixture
def wan() -> Any:
    torch.manual_seed(0)
    return wan_pipeline(wan_vae())


def other(pipe: Any) -> Decoder:
    """A decoder of the pipeline's latents with other weights."""
    return random_decoder(decoder_of(pipe.vae).spec, seed=3)


@pytest.mark.parametrize("part", ["vae", "decoder"])
@pytest.mark.parametrize("clips", [1, 2])
def test_the_exact_copy_changes_no_pixel(pipe, part, clips):
    before = generate(pipe, clips=clips)
    assert before.std() > 0.02
    with installed(pipe, decoder_of(pipe.vae), part):
        frames = generate(pipe, clips=clips)
    assert frames.shape == (clips, 9, 3, 32, 32)
    torch.testing.assert_close(frames, before, atol=1e-4, rtol=0)


@pytest.mark.parametrize("part", ["vae", "decoder"])
def test_another_decoder_changes_the_frames_and_leaves_no_trace(pipe, part):
    vae, config = pipe.vae, dict(pipe.config)
    children = {name: id(child) for name, child in vae.named_children()}
    before, latents = generate(pipe), generate(pipe, "latent")
    install(pipe, other(pipe), part)
    assert (generate(pipe) - before).abs().mean() > 0.01
    torch.testing.assert_close(generate(pipe, "latent"), latents, atol=0, rtol=0)
    uninstall(pipe)
    assert pipe.vae is vae
    assert dict(pipe.config) == config
    assert {name: id(child) for name, child in vae.named_children()} == children
    torch.testing.assert_close(generate(pipe), before, atol=0, rtol=0)


def test_it_is_uninstalled_when_the_block_fails(wan):
    vae, inside = wan.vae, []

    def fail() -> None:
        with installed(wan, other(wan)):
            inside.append(wan.vae)
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        fail()
    assert inside[0] is not vae
    assert wan.vae is vae


def test_the_encoder_stays_theirs(wan):
    clip = torch.rand(1, 3, 9, 16, 16) * 2 - 1
    before = wan.vae.encode(clip).latent_dist.mode()
    with installed(wan, other(wan).bfloat16()):
        torch.testing.assert_close(wan.vae.encode(clip).latent_dist.mode(), before, atol=0, rtol=0)
        assert wan.vae.dtype == torch.bfloat16
        assert generate(wan).isfinite().all()


def test_a_pipeline_without_an_encoder_takes_a_decoder(wan):
    copy = decoder_of(wan.vae)
    before = generate(wan)
    wan.vae.encoder = None
    with installed(wan, copy):
        torch.testing.assert_close(generate(wan), before, atol=1e-4, rtol=0)


def test_their_tiling_goes_on_working_around_our_decoder(wan):
    wan.vae.decoder.conv_out.weight *= 0.1  # no frame beyond [-1, 1]: ours are clamped before tiles are blended
    wan.vae.enable_tiling(16, 16, 8, 8)
    before = generate(wan)
    with installed(wan, decoder_of(wan.vae), "decoder"):
        torch.testing.assert_close(generate(wan), before, atol=1e-4, rtol=0)


def test_what_is_installed_is_saved_and_read_back(wan, tmp_path, modules_cache):
    install(wan, other(wan))
    expected = generate(wan)
    wan.save_pretrained(tmp_path / "pipeline")
    absent = {name: None for name, part in wan.components.items() if part is None}
    again = type(wan).from_pretrained(tmp_path / "pipeline", trust_remote_code=True, **absent)
    sys.modules.pop("diffusers_modules.local.modeling_flash_vaed", None)
    torch.testing.assert_close(generate(again), expected, atol=1e-5, rtol=0)
    clip = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    torch.testing.assert_close(
        again.vae.encode(clip).latent_dist.mode(), wan.vae.encode(clip).latent_dist.mode(), atol=1e-5, rtol=0
    )


def test_wrong_latents_are_refused_with_what_was_expected_and_what_came(wan):
    with pytest.raises(ValueError, match=r"AutoencoderKLWan makes latents of 16 channels.*reads test latents of 4"):
        install(wan, random_decoder(tiny_spec()))
    shifted = random_decoder(wan_spec(4, blocks_per_stage=1))
    latents = shifted.spec.latents
    moved = (latents.mean[0] + 1, *latents.mean[1:])
    shifted.spec = type(shifted.spec)(
        "wan", type(latents)("moved", moved, latents.std), shifted.spec.stages, patch=shifted.spec.patch
    )
    with pytest.raises(ValueError, match=r"channel 0 has mean -0\.7571"):
        install(wan, shifted)


def test_a_second_installation_and_a_missing_one_are_refused(wan):
    with pytest.raises(ValueError, match="no decoder of ours"):
        uninstall(wan)
    install(wan, other(wan))
    with pytest.raises(ValueError, match="uninstall"):
        install(wan, random_decoder(wan.vae.decoder.spec))


def test_offloaded_pipelines_and_unknown_parts_are_refused(wan):
    wan.vae._hf_hook = object()
    with pytest.raises(ValueError, match="enable_model_cpu_offload"):
        install(wan, other(wan))
    del wan.vae._hf_hook
    with pytest.raises(ValueError, match="part is one of vae, decoder"):
        install(wan, other(wan), part="head")
