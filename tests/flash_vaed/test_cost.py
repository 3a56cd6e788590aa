"""Counts against the published Wan 2.1 decoder and the paper's student, and against a decoder that exists."""

from __future__ import annotations

import dataclasses

import pytest

from flash_vaed import Decoder, StagePlan
from flash_vaed.cost import decoder_cost
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.wan import wan_spec
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder, random_latents, tiny_spec

LATENT_MIX = 16 * 16 + 16  # Wan counts its 1x1x1 convolution on the latent outside the decoder

# parameters in millions and GMAC per frame for 81 frames of 480x832, upsamplers counted with their stage
TEACHER = {
    "entry": (0.166, 0.27), "mid": (16.52, 34.5), "up0": (25.44, 48.45), "up1": (23.53, 354.8), "up2": (6.140, 662.5),
    "up3": (1.494, 596.2), "head": (0.008, 3.1),
}  # fmt: skip
STUDENT = {
    "entry": (0.166, 0.27), "mid": (1.228, 9.73), "up0": (2.503, 11.28), "up1": (1.918, 31.1), "up2": (0.036, 4.32),
    "up3": (0.008, 3.28), "head": (0.001, 0.39),
}  # fmt: skip


def paper_student():
    """The decoder released with Flash-VAED for Wan 2.1, but for one depthwise factor in up1's shortcut."""
    spec, replace = wan_spec(), dataclasses.replace
    return spec.with_stages(
        mid=replace(spec.stages["mid"], operator="depthwise3d"),
        up0=replace(spec.stages["up0"], operator="depthwise3d"),
        up1=replace(spec.stages["up1"], operator="depthwise3d", out_channels=24),
        up2=StagePlan("conv2d", 24, 3, "spatial", 12, shortcut="always"),
        up3=StagePlan("conv2d", 12, 3, shortcut="always"),
    )


@pytest.mark.parametrize(
    ("spec", "parameters", "gmacs", "state_mib", "table"),
    [
        (wan_spec(), 73_295_331 + LATENT_MIX, 1700, 2 * 1801, TEACHER),
        (paper_student(), 5_859_723 + LATENT_MIX - 2 * 192, 60.3, 2 * 357, STUDENT),
    ],
    ids=["teacher", "student"],
)
def test_the_published_counts(spec, parameters, gmacs, state_mib, table):
    cost = decoder_cost(spec, 81, 480, 832)
    assert cost.parameters == parameters
    assert cost.macs_per_frame / 1e9 == pytest.approx(gmacs, rel=1e-3)
    assert cost.state_bytes / 2**20 == pytest.approx(state_mib, rel=1e-3)  # published for 16 bit, counted in 32
    for name, (million, gmac) in table.items():
        assert cost.parts[name].parameters / 1e6 == pytest.approx(million, rel=0.01, abs=5e-4), name
        assert cost.parts[name].macs_per_frame / 1e9 == pytest.approx(gmac, rel=0.01), name
    assert sum(part.macs_per_frame for part in cost.parts.values()) == pytest.approx(cost.macs_per_frame)


def test_parameters_are_those_of_the_decoder():
    spec = tiny_spec()
    decoder, cost = Decoder(spec), decoder_cost(spec, 9, 16, 16)
    assert cost.parameters == sum(parameter.numel() for parameter in decoder.parameters())
    for name, stage in decoder.stages.items():
        assert cost.parts[name].parameters == sum(parameter.numel() for parameter in stage.parameters())


def test_macs_of_one_convolution_by_hand():
    """The entry: a 1x1x1 4 -> 4 and a 3x3x3 4 -> 32 convolution on 3 latents of 2x4, for 9 frames."""
    cost = decoder_cost(tiny_spec(), 9, 16, 32)
    assert cost.parts["entry"].macs_per_frame == pytest.approx((4 * 4 + 27 * 4 * 32) * 3 * 2 * 4 / 9)


@pytest.mark.parametrize("size", [(8, 16, 16), (9, 12, 16), (9, 16, 20), (0, 16, 16), (9, 0, 16)])
def test_sizes_off_the_latent_grid_are_refused(size):
    with pytest.raises(ValueError, match=r"4 k \+ 1 frames with sides divisible by 8"):
        decoder_cost(tiny_spec(), *size)


def test_the_state_of_a_decoder_that_looks_ahead_is_that_of_a_running_stream():
    """Its last stages begin several latents late; what they remember then is counted, however short the clip."""
    decoder = random_decoder(ltx_spec((8, 8), (1, 2, 1), (True, True), patch=2, latents=FOUR_CHANNELS))
    state = decoder.init_state()
    for _ in range(12):
        _, state = decoder.step(random_latents(1, 2, 3), state)
    scale, side = decoder.spec.temporal_scale, decoder.spec.spatial_scale
    for t in (1, 2, 20):
        cost = decoder_cost(decoder.spec, scale * (t - 1) + 1, 2 * side, 3 * side)
        assert cost.state_bytes == state.nbytes()
        assert sum(part.state_bytes for part in cost.parts.values()) == cost.state_bytes
        assert min(part.state_bytes for part in cost.parts.values()) > 0
