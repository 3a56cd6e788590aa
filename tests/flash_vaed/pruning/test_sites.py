"""Which tensors are cut together, in Wan's layout and where a plan asks for projections everywhere."""

from __future__ import annotations

import dataclasses

from flash_vaed import Decoder
from flash_vaed.pruning.sites import sites, way_in, way_out
from tests.flash_vaed.examples import random_latents, tiny_spec


def test_the_sites_of_wans_layout():
    found = {name: site.channels for name, site in sites(tiny_spec()).items()}
    assert found == {
        "mid.stream": 32, "mid.blocks.0.inner": 32, "mid.blocks.1.inner": 32,
        "up0.stream": 32, "up0.blocks.0.inner": 32, "up0.blocks.1.inner": 32,
        "up1.in": 16, "up1.stream": 32, "up1.blocks.0.inner": 32, "up1.blocks.1.inner": 32,
        "up2.stream": 16, "up2.blocks.0.inner": 16, "up2.blocks.1.inner": 16,
        "up3.stream": 8, "up3.blocks.0.inner": 8, "up3.blocks.1.inner": 8,
    }  # fmt: skip


def test_the_way_out_is_the_next_way_in():
    spec = tiny_spec()
    assert [way_in(spec, name) for name in spec.stages] == [
        "mid.stream", "up0.stream", "up1.in", "up2.stream", "up3.stream",
    ]  # fmt: skip
    assert [way_out(spec, name) for name in spec.stages] == [
        "up0.stream", "up1.in", "up2.stream", "up3.stream", "up3.stream",
    ]  # fmt: skip


def test_a_projection_frees_the_way_in():
    spec = tiny_spec()
    spec = spec.with_stages(up2=dataclasses.replace(spec.stages["up2"], shortcut="always"))
    assert way_in(spec, "up2") == "up2.in"
    found = sites(spec)
    assert found["up2.in"].taps == ("stages.up1",)
    assert found["up2.stream"].taps == ("stages.up2.blocks.0", "stages.up2.blocks.1")


def test_every_tap_carries_the_channels_of_its_site(teacher):
    modules, widths = dict(teacher.named_modules()), {}
    hooks = [
        modules[tap].register_forward_hook(lambda _m, _i, out, tap=tap: widths.__setitem__(tap, out.shape[1]))
        for site in sites(teacher.spec).values()
        for tap in site.taps
    ]
    teacher(random_latents(2))
    for hook in hooks:
        hook.remove()
    for site in sites(teacher.spec).values():
        assert {widths[tap] for tap in site.taps} == {site.channels}, site.name


def test_taps_exist_in_any_layout():
    spec = tiny_spec()
    spec = spec.with_stages(
        **{name: dataclasses.replace(stage, shortcut="always") for name, stage in spec.stages.items()}
    )
    modules = dict(Decoder(spec).named_modules())
    assert all(tap in modules for site in sites(spec).values() for tap in site.taps)
