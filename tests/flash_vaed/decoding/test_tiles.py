"""Tiles are the whole frame: the same frames and the same state, for every family, any tiling, any chunks."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from flash_vaed import Decoder, DecoderSpec
from flash_vaed.decoding.tiles import cut_of, halo_of, step_in_tiles, tiles_of
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.taehv import taehv_spec
from flash_vaed.families.wan import wan_spec
from flash_vaed.operators import OPERATORS, Hop
from flash_vaed.state import Stream
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder, random_latents

SAME = {"atol": 1e-4, "rtol": 0.0}


def wan(**changes: object) -> DecoderSpec:
    return wan_spec(4, (1, 2), 1, (True,), FOUR_CHANNELS, **changes)


def ltx(time: str = "centred_replicate") -> DecoderSpec:
    return ltx_spec((4, 4, 2), (1, 1, 1, 1), (False, True, True), patch=2, latents=FOUR_CHANNELS, time=time)


SPECS = {
    "wan": wan(),
    "wan2.2": wan(residual=True, patch=2),
    "ltx": ltx(),
    "taehv": taehv_spec((4, 4, 2), 1, (True, False), FOUR_CHANNELS),
    "ltx causal": ltx("causal_replicate"),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(("tile", "chunk", "n"), [(3, None, 1), ((2, 5), 2, 2), (4, 1, 1)])
def test_tiles_give_the_whole_frames(name, tile, chunk, n):
    decoder, z_NCthw = random_decoder(SPECS[name]), random_latents(4, 7, 13, n=n)
    torch.testing.assert_close(decoder.decode(z_NCthw, chunk, tile), decoder.decode(z_NCthw), **SAME)


@pytest.mark.parametrize("name", ["wan", "ltx"])
def test_a_halo_one_pixel_short_would_show(name):
    """The check above can fail, and the halo is not larger than it must be."""
    decoder, z_NCthw = random_decoder(SPECS[name]), random_latents(3, 3, 24)
    cut = cut_of(decoder)
    errors = []
    for halo in (cut.halo, cut.halo - 1):
        tiles = tiles_of(dataclasses.replace(cut, halo=halo), 3, 24, (3, 6))
        frames, _ = step_in_tiles(decoder, z_NCthw, decoder.init_state(), cut, tiles, last=True)
        errors.append(float((frames - decoder.decode(z_NCthw)).abs().amax()))
    assert errors[0] < 1e-5 < 1e-4 < errors[1]


@pytest.mark.parametrize("name", ["wan", "ltx"])
def test_a_tiled_step_leaves_the_state_of_a_whole_one(name):
    """So whoever runs out of memory can tile the rest of the clip, and go back."""
    decoder, z_NCthw = random_decoder(SPECS[name]), random_latents(4, 5, 9)
    cut, whole, tiled = cut_of(decoder), decoder.init_state(), decoder.init_state()
    for z_step, side in zip(z_NCthw.split(1, dim=2), (2, 4, 9, 3), strict=True):
        tiles = tiles_of(cut, 5, 9, (side, side))
        expected, whole = decoder.step(z_step, whole)
        frames, tiled = step_in_tiles(decoder, z_step, tiled, cut, tiles)
        torch.testing.assert_close(frames, expected, **SAME)
        assert tiled.memory.keys() == whole.memory.keys()
        assert (tiled.latents_seen, tiled.ended) == (whole.latents_seen, whole.ended)
        for slot, remembered in whole.memory.items():
            torch.testing.assert_close(tiled.memory[slot], remembered, **SAME)


def test_one_tile_over_the_frame_is_the_frame(teacher):
    z_NCthw = random_latents(2, 3, 4)
    assert torch.equal(teacher.decode(z_NCthw, tile=4), teacher.decode(z_NCthw))
    assert torch.equal(teacher.decode(z_NCthw, tile=100), teacher.decode(z_NCthw))


def test_published_decoders_see_as_far_as_is_known():
    """13 latent pixels from up0 on in Wan 2.1, 24 from the first convolution on in LTX-Video."""
    with torch.device("meta"):
        wan21, ltx090 = Decoder(wan_spec()), Decoder(ltx_spec())
    assert cut_of(wan21).halo == 13
    assert cut_of(wan21).whole == ("entry", "mid")
    assert halo_of(hop for part in ltx090.parts().values() for hop in part.sight()) == 24
    assert cut_of(ltx090).whole == ("entry", "mid", "up0")  # dear in width, not in pixels: no reason to cut them


def test_a_halo_shrinks_where_pixels_are_enlarged():
    assert halo_of([]) == 0
    assert halo_of([Hop(1), Hop(1)]) == 2
    assert halo_of([Hop(1), Hop(scale=2), Hop(1)]) == 2
    assert halo_of([Hop(scale=2), Hop(1), Hop(1), Hop(1)]) == 2


@pytest.mark.parametrize("name", OPERATORS.names())
def test_an_operator_sees_as_far_as_it_says(name):
    """A single changed pixel changes the output as far as `sight` says, and no further."""
    operator = OPERATORS.get(name)(2, 2)
    x_NCTHW = torch.zeros(1, 2, 5, 11, 11)
    changed = x_NCTHW.clone()
    changed[..., 5, 5] = 1
    with torch.no_grad():
        difference = operator(changed, Stream.fresh()) - operator(x_NCTHW, Stream.fresh())
    columns = difference.abs().amax(dim=(0, 1, 2, 3)).nonzero().flatten()
    assert int(columns.max()) - 5 == 5 - int(columns.min()) == halo_of(operator.sight())


def test_attention_behind_an_upsampler_keeps_the_frames_whole_to_there():
    spec = wan_spec(4, (1, 1, 1), 1, (True, False), FOUR_CHANNELS)
    spec = spec.with_stages(up1=dataclasses.replace(spec.stages["up1"], attention=True))
    cut = cut_of(random_decoder(spec))
    assert (cut.whole, cut.scale) == (("entry", "mid", "up0", "up1"), 4)
    z_NCthw, decoder = random_latents(3, 5, 6), random_decoder(spec)
    torch.testing.assert_close(decoder.decode(z_NCthw, 2, 2), decoder.decode(z_NCthw), **SAME)


def test_a_part_that_does_not_say_what_it_sees_is_refused():
    class Quiet(nn.Module):
        def forward(self, x_NCTHW, stream):
            return x_NCTHW

    decoder = random_decoder(SPECS["wan"])
    decoder.stages["up1"] = Quiet()
    with pytest.raises(ValueError, match=r"up1 of a wan decoder does not say how far it sees.* give Quiet a sight\(\)"):
        decoder.decode(random_latents(2, 4, 4), tile=2)


@pytest.mark.parametrize("tile", [0, -1, (0, 3), (1, 2, 3)], ids=str)
def test_an_impossible_tile_is_refused(teacher, tile):
    with pytest.raises(ValueError, match="tile is a positive number of latent pixels"):
        teacher.decode(random_latents(1), tile=tile)
