"""FastVideo's contract, by a pipeline with its shape and, where the package is installed, by its real classes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from flash_vaed import Decoder, to_diffusers_folder
from flash_vaed.families.wan import wan_spec
from flash_vaed.hosts.fastvideo import FastVideoVae, decode_latents, install, installed, register, uninstall
from tests.flash_vaed.examples import random_decoder, tiny_spec


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return random_decoder(wan_spec(4, blocks_per_stage=1))


def latents(t: int, n: int = 1) -> Tensor:
    """Normalised, (n, 16, t, 4, 6)."""
    return torch.randn(n, 16, t, 4, 6, generator=torch.Generator().manual_seed(0))


def expected(decoder: Decoder, z: Tensor) -> Tensor:
    return decoder.decode(decoder.latents.denormalize(z), expect=None)


def their_vae(channels: int = 16) -> nn.Module:
    vae = nn.Linear(1, 1)
    space = wan_spec().latents
    vae.config = SimpleNamespace(
        latents_mean=space.mean[:channels], latents_std=space.std[:channels],
        scale_factor_temporal=4, scale_factor_spatial=8,
    )  # fmt: skip
    vae.encode = lambda x: x + 1
    return vae


def pipeline(vae: Any) -> Any:
    """What FastVideo's pipelines have: a module table, and stages that hold what they use."""
    return SimpleNamespace(modules={"vae": vae}, stages=[SimpleNamespace(), SimpleNamespace(vae=vae)])


@pytest.mark.parametrize("clips", [1, 2])
def test_latents_of_a_generator_are_decoded_outside(decoder, clips):
    frames = decode_latents(latents(3, clips), decoder)
    assert frames.shape == (clips, 3, 9, 32, 48)
    torch.testing.assert_close(frames, expected(decoder, latents(3, clips)), atol=1e-5, rtol=0)


def test_a_stream_is_the_whole_clip(decoder):
    vae, z = FastVideoVae(decoder), latents(6)
    cache: Any = vae.get_streaming_cache()
    chunks = []
    for number, chunk in enumerate(z.split(3, dim=2)):
        frames, cache = vae.streaming_decode(chunk, cache, number == 0)
        chunks.append(frames)
    assert [chunk.shape[2] for chunk in chunks] == [9, 12]
    torch.testing.assert_close(torch.cat(chunks, 2), vae.decode(z), atol=1e-5, rtol=0)


def test_a_first_chunk_begins_anew_whatever_the_cache_holds(decoder):
    vae, z = FastVideoVae(decoder), latents(2)
    first, used = vae.streaming_decode(z, vae.get_streaming_cache(), True)
    again, _ = vae.streaming_decode(z, used, True)
    torch.testing.assert_close(again, first, atol=0, rtol=0)


def test_autocast_does_not_reach_the_decoder(decoder):
    vae = FastVideoVae(decoder)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        frames = vae.decode(latents(2).bfloat16())
    assert frames.dtype == torch.float32
    torch.testing.assert_close(frames, expected(decoder, latents(2).bfloat16().float()), atol=1e-5, rtol=0)


def test_tiling_is_for_the_next_decode_only(decoder, monkeypatch):
    vae, budgets = FastVideoVae(decoder), []
    decode = decoder.decode
    monkeypatch.setattr(decoder, "decode", lambda z, chunk, memory_budget, expect: (
        budgets.append(memory_budget), decode(z, chunk, memory_budget=memory_budget, expect=expect))[1])  # fmt: skip
    vae.enable_tiling()
    first, second = vae.decode(latents(2)), vae.decode(latents(2))
    assert budgets == ["auto", None]
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)


def test_install_and_uninstall(decoder):
    theirs = their_vae()
    pipe = pipeline(theirs)
    with installed(pipe, decoder):
        ours = pipe.modules["vae"]
        assert pipe.stages[1].vae is ours
        assert not hasattr(pipe.stages[0], "vae")
        assert ours.encode(torch.ones(1)).item() == 2
        with pytest.raises(ValueError, match="uninstall"):
            install(pipe, decoder)
    assert pipe.modules["vae"] is theirs
    assert pipe.stages[1].vae is theirs
    with pytest.raises(ValueError, match="no decoder of ours"):
        uninstall(pipe)


def test_what_does_not_fit_is_refused(decoder):
    with pytest.raises(ValueError, match="16 channels"):
        install(pipeline(their_vae()), random_decoder(tiny_spec()))
    with pytest.raises(ValueError, match="no module 'vae'"):
        install(SimpleNamespace(modules={}), decoder)
    with pytest.raises(ValueError, match="latent statistics"):
        install(pipeline(nn.Linear(1, 1)), decoder)
    with pytest.raises(ValueError, match=r"\(N, 16, t, h, w\)"):
        FastVideoVae(decoder).decode(torch.zeros(1, 6, 16, 4, 6))
    with pytest.raises(ValueError, match="decoder only"):
        FastVideoVae(decoder).encode(torch.zeros(1, 3, 1, 8, 8))


@pytest.fixture
def stage(monkeypatch) -> Any:
    """The module of FastVideo's real decoding stage, told that its device is the CPU."""
    pytest.importorskip("fastvideo", reason="fastvideo is not installed (extra `fastvideo`)")
    from fastvideo.pipelines.stages import decoding

    monkeypatch.setattr(decoding, "get_local_torch_device", lambda: torch.device("cpu"))
    return decoding


def settings(precision: str = "fp32", **told: Any) -> Any:
    config = SimpleNamespace(vae_precision="fp32", vae_decode_precision=precision, vae_tiling=False)
    return SimpleNamespace(
        pipeline_config=config, disable_autocast=True, model_loaded={"vae": True}, output_type="pt",
        vae_cpu_offload=False, **told,
    )  # fmt: skip


def test_the_real_stage_decodes_with_an_exact_copy_as_with_its_own(stage):
    from fastvideo.configs.models.vaes.wanvae import WanVAEArchConfig, WanVAEConfig
    from fastvideo.models.vaes.wanvae import AutoencoderKLWan

    from flash_vaed.checkpoint import decoder_from

    arch = WanVAEArchConfig(base_dim=4, dim_mult=(1, 1, 1, 1), num_res_blocks=1)
    own = AutoencoderKLWan(WanVAEConfig(arch_config=arch, load_encoder=False)).eval().requires_grad_(False)
    decoding, z = stage.DecodingStage(own), latents(3, 2)
    pipe = SimpleNamespace(modules={"vae": own}, stages=[decoding])
    before = decoding.decode(z, settings())
    with installed(pipe, decoder_from(own.state_dict(), "fastvideo")):
        frames = decoding.decode(z, settings())
        first, cache = decoding.streaming_decode(z[:1, :, :2], settings(), None, True)
        rest, _ = decoding.streaming_decode(z[:1, :, 2:], settings(), cache)
    torch.testing.assert_close(frames, before, atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cat([first, rest], 2), before[:1], atol=1e-4, rtol=0)
    torch.testing.assert_close(decoding.decode(z, settings()), before, atol=0, rtol=0)


def test_the_real_registry_builds_the_exported_decoder_and_loads_it_strictly(stage, decoder, tmp_path):
    from fastvideo.models.registry import ModelRegistry

    to_diffusers_folder(decoder, tmp_path / "vae")
    register(tmp_path / "vae")
    made = ModelRegistry.resolve_model_cls("FlashVaed")[0](None)
    weights = load_file(tmp_path / "vae" / "diffusion_pytorch_model.safetensors")
    made.load_state_dict(weights, strict=False)
    torch.testing.assert_close(
        stage.DecodingStage(made.eval()).decode(latents(2), settings()),
        expected(decoder, latents(2)) / 2 + 0.5, atol=1e-5, rtol=0,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="Missing key"):
        made.load_state_dict(dict(list(weights.items())[1:]), strict=False)
    with pytest.raises(ValueError, match="no exported decoder"):
        register(tmp_path)
