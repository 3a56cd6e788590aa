"""Peers run the same weights as ours and give the same frames; what is not here says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from bench.programs import PROGRAMS, decoder_named
from bench.programs.flash_vaed_release import FILE
from bench.spec import Arm, Runtime
from flash_vaed import save_decoder
from tests.flash_vaed.examples import random_decoder, random_latents

PLAIN = Runtime("eager", "float32", None, True)
CPU = torch.device("cpu")

RELEASE = """
import torch
from torch import nn

class WanVAE_(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(2, 2)

    def decode(self, i, z, scale):
        return (z / scale[1].view(1, -1, 1, 1, 1) + scale[0].view(1, -1, 1, 1, 1))[:, :3, i : i + 1]
"""


def test_diffusers_and_ours_decode_the_same_weights_alike():
    program = PROGRAMS.get("diffusers")()
    if (reason := program.unavailable()) is not None:
        pytest.skip(reason)
    arm = Arm("peer", "lightvae-wan2.1", "diffusers", PLAIN)
    decoder = decoder_named("lightvae-wan2.1", 0, [program])
    ours = PROGRAMS.get("ours")().start(arm, decoder, 0, CPU)
    theirs = program.start(arm, decoder, 0, CPU)
    z = random_latents(2, 3, 4, channels=16)
    assert (ours.decode(z) - theirs.decode(z)).abs().max() < 1e-4
    assert ours.first(z)[0].shape == theirs.first(z).shape


def test_a_seed_is_a_set_of_weights():
    first, again, other = (decoder_named("taew2.1", seed, ()) for seed in (0, 0, 1))
    name = "stages.up0.blocks.0.conv1.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_a_checkpoint_is_read(tmp_path):
    save_decoder(random_decoder(), tmp_path / "decoder")
    found = decoder_named(str(tmp_path / "decoder"), 0, ())
    assert torch.equal(found.decode(random_latents(1)), random_decoder().decode(random_latents(1)))
    assert decoder_named("bundled", 0, ()).spec.family == "wan"


def test_ours_takes_every_option_of_the_runtime():
    runtime = Runtime("fast", "bfloat16", 1, True, ("values", "subpixel"), channels_last=True)
    decoder, z = random_decoder(), random_latents(3)
    running = PROGRAMS.get("ours")().start(Arm("a", "x", "ours", runtime), decoder, 0, CPU)
    assert running.decoder.places == {"values": 1, "subpixel": 3}
    assert (running.decode(z).float() - decoder.decode(z)).abs().mean() < 0.05


def test_the_release_says_what_it_lacks(tmp_path):
    program = PROGRAMS.get("flash_vaed_release")
    assert "paths.flash_vaed_release=CHECKOUT" in program().unavailable()
    assert "has no" in program(str(tmp_path)).unavailable()


def test_the_release_gets_normalised_latents_and_never_forgets(tmp_path):
    """Of a stand-in that gives back the latents as it reads them: its own de-normalisation undoes ours."""
    if importlib.util.find_spec("einops") is None:
        pytest.skip("einops is not installed")
    place = tmp_path / FILE
    place.parent.mkdir(parents=True)
    Path(place).write_text(RELEASE)
    program = PROGRAMS.get("flash_vaed_release")(str(tmp_path))
    assert program.unavailable() is None
    decoder = decoder_named("taew2.1", 0, ())  # for its latent space
    running = program.start(Arm("release", "flash-vaed-wan2.1", "flash_vaed_release", PLAIN), decoder, 0, CPU)
    z = random_latents(43, channels=16)
    torch.testing.assert_close(running.decode(z), z[:, :3], atol=1e-5, rtol=0)
