"""The decoder equals diffusers' `AutoencoderKLLTXVideo` on the same random weights: any size, length and chunking."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flash_vaed import Decoder
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.layouts.ltx_diffusers import LtxDiffusers
from tests.flash_vaed.examples import random_latents, scramble

diffusers = pytest.importorskip("diffusers", reason="the extra `wan` is not installed")

EXACT = {"atol": 1e-4, "rtol": 0.0}
LENGTHS = [1, 2, 5, 22]
CHUNKS = [None, 1, 2, 3]
ENCODER = {"block_out_channels": (4, 4, 4, 4), "layers_per_block": (1, 1, 1, 1, 1)}

SMALL: dict[str, dict[str, Any]] = {
    "ltx layout": {"decoder_block_out_channels": (4, 8, 16, 16), "decoder_layers_per_block": (2, 1, 1, 1, 2)},
    "one width": {"decoder_block_out_channels": (8, 8, 8, 8), "decoder_layers_per_block": (1, 1, 1, 1, 1)},
    "looks back only": {
        "decoder_block_out_channels": (4, 8, 8, 16), "decoder_layers_per_block": (1, 1, 1, 1, 1),
        "decoder_causal": True,
    },
    "other patch and scales": {
        "decoder_block_out_channels": (4, 6, 8), "decoder_layers_per_block": (1, 2, 1, 1), "patch_size": 2,
        "decoder_spatio_temporal_scaling": (True, False, True), "decoder_inject_noise": (False,) * 4,
        "upsample_residual": (False,) * 3, "upsample_factor": (1, 1, 1),
    },
}  # fmt: skip


def make_vae(config: dict[str, Any], seed: int = 0) -> Any:
    """Diffusers' VAE with random weights, biases and layer norms included; a small encoder whatever the decoder."""
    vae = diffusers.AutoencoderKLLTXVideo(**{"latent_channels": 6, **ENCODER, **config})
    scramble(vae, seed)
    for name, parameter in vae.named_parameters():
        if name.endswith("norm3.weight"):
            torch.nn.init.normal_(parameter, 1, 0.3, generator=torch.Generator().manual_seed(seed))
    vae.latents_mean.copy_(torch.linspace(-1, 1, len(vae.latents_mean)))
    vae.latents_std.copy_(torch.linspace(0.5, 2, len(vae.latents_std)))
    return vae.eval().requires_grad_(False)


def ours_of(vae: Any) -> Decoder:
    spec, weights = LtxDiffusers.read(vae.state_dict(), vae.config)
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
    z_NCthw = random_latents(t, 2, 3, n=2, channels=6, seed=t)
    expected = vae.decode(z_NCthw).sample
    assert expected.shape[2] == decoder.spec.frames_out(t)
    assert expected.std() > 0.1
    torch.testing.assert_close(decoder(z_NCthw), expected, **EXACT)
    for chunk in CHUNKS:
        torch.testing.assert_close(decoder.decode(z_NCthw, chunk), expected.clamp(-1, 1), **EXACT)


def test_the_weights_matter(small):
    """The comparison can fail: every single tensor, changed, shows in the frames."""
    _, decoder = small
    z_NCthw = random_latents(2, 1, 1, channels=6)
    expected = decoder(z_NCthw)
    for name, parameter in decoder.named_parameters():
        kept = parameter.clone()
        parameter.mul_(1.5).add_(0.3)
        silent = torch.allclose(decoder(z_NCthw), expected, **EXACT)
        parameter.copy_(kept)
        assert not silent, f"{name} could hold anything"


def test_a_stream_that_looks_ahead_gives_its_frames_late_and_all_of_them():
    decoder = ours_of(make_vae(SMALL["one width"]))
    z_NCthw, frames, state = random_latents(12, 1, 1, channels=6), [], decoder.init_state()
    for t in range(12):
        x, state = decoder.step(z_NCthw[:, :, t : t + 1], state, last=t == 11)
        frames.append(x)
    lengths = [x.shape[2] for x in frames]
    assert lengths[0] == 0, "the first frames need latents that have not come yet"
    assert sum(lengths) == decoder.spec.frames_out(12)
    torch.testing.assert_close(torch.cat(frames, dim=2), decoder.decode(z_NCthw), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="this stream has ended"):
        decoder.step(z_NCthw[:, :, :1], state)


def test_memory_of_a_stream_that_looks_ahead_does_not_grow():
    decoder = ours_of(make_vae(SMALL["one width"]))
    sizes, state = [], decoder.init_state()
    for t in range(24):
        _, state = decoder.step(random_latents(1, 1, 1, channels=6, seed=t), state)
        sizes.append(state.nbytes())
    assert len(set(sizes[-8:])) == 1


def test_two_interleaved_streams_that_look_ahead_do_not_meet():
    decoder = ours_of(make_vae(SMALL["ltx layout"]))
    clips = [random_latents(4, 1, 2, channels=6, seed=s) for s in (1, 2)]
    states, frames = [decoder.init_state(), decoder.init_state()], [[], []]
    for t in range(4):
        for stream in (0, 1):
            x, states[stream] = decoder.step(clips[stream][:, :, t : t + 1], states[stream], last=t == 3)
            frames[stream].append(x)
    for clip, parts in zip(clips, frames, strict=True):
        assert torch.equal(torch.cat(parts, dim=2), decoder.decode(clip, chunk=1))


def test_latent_statistics_come_from_the_file(small):
    vae, decoder = small
    assert decoder.latents.mean == tuple(vae.latents_mean.tolist())
    assert decoder.latents.std == tuple(vae.latents_std.tolist())


@pytest.fixture(scope="module")
def full_size() -> tuple[Any, Decoder]:
    vae = make_vae({"latent_channels": 128})
    decoder = ours_of(vae)
    assert decoder.spec.stages == ltx_spec().stages
    assert sum(parameter.numel() for parameter in decoder.parameters()) == 238_789_296
    return vae, decoder


@pytest.mark.parametrize(("t", "chunks"), [(1, [None]), (2, [1]), (5, [None, 2]), (22, [3])])
def test_the_full_size_decoder_gives_diffusers_frames(full_size, t, chunks):
    vae, decoder = full_size
    z_NCthw = random_latents(t, 1, 1, channels=128, seed=t)
    expected = vae.decode(z_NCthw).sample
    assert expected.std() > 0.1
    for chunk in chunks:
        torch.testing.assert_close(decoder.decode(z_NCthw, chunk), expected.clamp(-1, 1), **EXACT)
