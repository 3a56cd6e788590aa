"""Which tensors are cut together, in Wan's and LTX-Video's wiring, and where projections free a block's channels."""

from __future__ import annotations

import dataclasses

import pytest

from flash_vaed import Decoder
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.taehv import taehv_spec
from flash_vaed.pruning.anatomy import anatomy, walk
from flash_vaed.pruning.plan import on_meta
from tests.flash_vaed.examples import FOUR_CHANNELS, random_latents, tiny_spec

LTX = ltx_spec((16, 16, 8), (1, 1, 1, 2), (False, True, True), patch=2, latents=FOUR_CHANNELS)


def widths(spec) -> dict[str, int]:
    return {name: site.channels for name, site in anatomy(on_meta(spec)).sites.items()}


def test_the_sites_of_wans_wiring():
    assert widths(tiny_spec()) == {
        "up0.stream": 32, "mid.blocks.0.inner": 32, "mid.blocks.1.inner": 32,
        "up0.blocks.0.inner": 32, "up0.blocks.1.inner": 32,
        "up0.upsampler": 16, "up1.stream": 32, "up1.blocks.0.inner": 32, "up1.blocks.1.inner": 32,
        "up2.stream": 16, "up2.blocks.0.inner": 16, "up2.blocks.1.inner": 16,
        "up3.stream": 8, "up3.blocks.0.inner": 8, "up3.blocks.1.inner": 8,
    }  # fmt: skip


def test_the_sites_of_ltxs_wiring():
    assert widths(LTX) == {
        "up0.stream": 16, "mid.blocks.0.inner": 16, "up0.blocks.0.inner": 16,
        "up1.stream": 16, "up1.blocks.0.inner": 16,
        "up2.entrance": 8, "up2.entrance.inner": 8, "up2.stream": 8, "up2.blocks.0.inner": 8, "up2.blocks.1.inner": 8,
    }  # fmt: skip


def test_projections_everywhere_give_every_block_its_own():
    spec = tiny_spec()
    spec = spec.with_stages(up2=dataclasses.replace(spec.stages["up2"], shortcut="always"))
    found = anatomy(on_meta(spec)).sites
    assert found["up1.upsampler"].taps == ("stages.up1.upsampler",)
    assert found["up2.blocks.0"].taps == ("stages.up2.blocks.0",)
    assert "up2.stream" not in found


@pytest.mark.parametrize("spec", [tiny_spec(), LTX])
def test_every_layer_reads_what_the_one_before_it_wrote(spec):
    found = anatomy(on_meta(spec))
    assert [layer.path for layer in found.layers] == [place.path for place in walk(on_meta(spec))]
    assert found.layers[0].reads == found.layers[-1].writes == ""
    for before, layer in zip(found.layers, found.layers[1:], strict=False):
        assert layer.reads == before.writes
        assert found.behind("entry") == found.layers[0].writes
    assert found.behind(list(spec.stages)[-1]) == found.layers[-1].reads


@pytest.mark.parametrize("spec", [tiny_spec(), LTX])
def test_every_tap_carries_the_channels_of_its_site(spec):
    decoder, seen = Decoder(spec), {}
    sites, modules = anatomy(decoder).sites, dict(decoder.named_modules())
    hooks = [
        modules[tap].register_forward_hook(lambda _m, _i, out, tap=tap: seen.__setitem__(tap, out.shape[1]))
        for site in sites.values()
        for tap in site.taps
    ]
    decoder(random_latents(2))
    for hook in hooks:
        hook.remove()
    for site in sites.values():
        assert {seen[tap] for tap in site.taps} == {site.channels}, site.name


def test_a_decoder_of_unknown_layers_is_refused():
    with pytest.raises(ValueError, match="of family taehv cannot be compressed: pruning does not know its"):
        anatomy(on_meta(taehv_spec((8, 8), 1, (True,))))
