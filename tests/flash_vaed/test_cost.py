"""Costs against the published Wan 2.1 and LTX decoders and their students, by hand, and against real decoders."""

from __future__ import annotations

import pytest
import torch

from flash_vaed import Decoder, StagePlan
from flash_vaed.cost import decoder_cost
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.taehv import taehv_spec
from flash_vaed.families.wan import wan_spec
from flash_vaed.families.zoo import SPECS
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder, random_latents, tiny_spec

# parameters in millions, GMAC and least MB per frame for 81 frames of 480x832 in 16 bit; upsamplers with their stage
TEACHER = {
    "entry": (0.166, 0.27), "mid": (16.52, 34.5), "up0": (25.44, 48.45), "up1": (23.53, 354.8), "up2": (6.140, 662.5),
    "up3": (1.494, 596.2), "head": (0.008, 3.1),
}  # fmt: skip
STUDENT = {
    "entry": (0.166, 0.27), "mid": (1.228, 9.73), "up0": (2.503, 11.28), "up1": (1.918, 31.1), "up2": (0.036, 4.32),
    "up3": (0.008, 3.28), "head": (0.001, 0.39),
}  # fmt: skip
TEACHER_MB = {("entry", "mid", "up0"): 67 + 12, ("up1",): 167 + 87, ("up2",): 578 + 115, ("up3",): 1151, ("head",): 79}
STUDENT_MB = {("entry", "mid", "up0"): 47 + 12, ("up1",): 156 + 53, ("up2",): 72 + 14, ("up3",): 144, ("head",): 12}


@pytest.mark.parametrize(
    ("name", "gmacs", "state_mib", "mb", "table", "table_mb"),
    [
        ("wan2.1", 1700, 1801, 2255, TEACHER, TEACHER_MB),
        ("flash-vaed-wan2.1", 60.3, 357, 509, STUDENT, STUDENT_MB),
    ],
)
def test_the_published_counts(name, gmacs, state_mib, mb, table, table_mb):
    cost = decoder_cost(SPECS[name], 81, 480, 832)
    assert cost.macs_per_frame / 1e9 == pytest.approx(gmacs, rel=1e-3)
    assert cost.state_bytes / 2**20 == pytest.approx(state_mib, rel=1e-3)
    assert cost.min_bytes_per_frame / 1e6 == pytest.approx(mb, rel=2e-3)
    for part, (million, gmac) in table.items():
        assert cost.parts[part].parameters / 1e6 == pytest.approx(million, rel=0.01, abs=5e-4), part
        assert cost.parts[part].macs_per_frame / 1e9 == pytest.approx(gmac, rel=0.01), part
    for parts, megabytes in table_mb.items():
        counted = sum(cost.parts[part].min_bytes_per_frame for part in parts)
        assert counted / 1e6 == pytest.approx(megabytes, rel=0.01), parts


@pytest.mark.parametrize(
    ("name", "size", "gmacs"),
    [
        ("ltx-video", (121, 512, 512), 114.4),
        ("flash-vaed-ltx", (121, 512, 512), 7.03),
        ("lightvae-wan2.1", (4001, 480, 832), 107.9),
        ("wan2.1", (4001, 480, 832), 1693.8),  # long clips: the first latent no longer counts
        ("flash-vaed-wan2.1", (4001, 480, 832), 59.8),
        ("taew2.1", (4001, 480, 832), 68.0),
        ("ltx-video", (8001, 512, 512), 113.4),
        ("flash-vaed-ltx", (8001, 512, 512), 6.89),
    ],
)
def test_the_published_multiply_accumulates(name, size, gmacs):
    assert decoder_cost(SPECS[name], *size).macs_per_frame / 1e9 == pytest.approx(gmacs, rel=3e-3)


def test_parts_add_up():
    for spec in (tiny_spec(), taehv_spec((8, 8, 4, 4))):
        cost = decoder_cost(spec, 9, 16, 16)
        for what in ("parameters", "macs_per_frame", "min_bytes_per_frame"):
            assert sum(getattr(part, what) for part in cost.parts.values()) == pytest.approx(getattr(cost, what))


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


def moved_per_frame(spec, part, element_bytes=2):
    """Elements per frame that a part moves beside its weights, for 9 frames of 16x32 pixels (3 latents of 2x4)."""
    cost = decoder_cost(spec, 9, 16, 32, element_bytes).parts[part]
    return (cost.min_bytes_per_frame / element_bytes * 9 - 3 * cost.parameters) / 9


PIXELS = 16 * 32


ONE_KERNEL = ["conv3d", "conv2d", "depthwise3d", "depthwise3d_5", "depthwise3d_x2", "grouped3d"]


@pytest.mark.parametrize("operator", ONE_KERNEL)
@pytest.mark.parametrize("shortcut", ["auto", "always"])
def test_a_block_moves_five_tensors_whatever_its_operator(operator, shortcut):
    """Two convolutions read and write, the sum reads the block's input, through a shortcut of its width or not."""
    spec = tiny_spec().with_stages(up3=StagePlan(operator, 8, 2, shortcut=shortcut))
    assert moved_per_frame(spec, "up3") == pytest.approx(2 * 5 * 8 * PIXELS)
    assert moved_per_frame(spec, "up3", 4) == pytest.approx(2 * 5 * 8 * PIXELS)


def test_what_lies_between_space_and_time_is_moved():
    """conv2plus1d is two convolutions: a block of them is four, and a sum that reads the block's input."""
    spec = tiny_spec().with_stages(up3=StagePlan("conv2plus1d", 8, 2))
    assert moved_per_frame(spec, "up3") == pytest.approx(2 * 9 * 8 * PIXELS)


def test_groups_of_a_single_channel_are_written_like_any_others():
    """grouped3d at width 4 convolves channel by channel, but no mix of channels follows that could take it from there:
    8 -> 4 -> 4 channels, 8 -> 4 on the way past, 4 read by the sum; then a block of width 4.
    """
    spec = tiny_spec().with_stages(up3=StagePlan("grouped3d", 4, 2))
    first = (8 + 4) + (4 + 4) + (8 + 4) + 4
    assert moved_per_frame(spec, "up3") == pytest.approx((first + 5 * 4) * PIXELS)


@pytest.mark.parametrize(
    ("operator", "parameters"),
    [
        ("conv2plus1d", 9 * 8 * 8 + (3 * 8 * 8 + 8)),
        ("grouped3d", 27 * 8 * 8 // 4 + 8),
        ("depthwise3d_x2", (27 + 1) * 2 * 8 + (2 * 8 * 8 + 8)),
    ],
)
def test_a_cheaper_operator_by_hand(operator, parameters):
    """Two blocks of width 8 have four convolutions and four norms; a weight of a convolution is a MAC per position."""
    cost = decoder_cost(tiny_spec().with_stages(up3=StagePlan(operator, 8, 2)), 9, 16, 32).parts["up3"]
    biases = {"conv2plus1d": 8, "grouped3d": 8, "depthwise3d_x2": 2 * 8 + 8}[operator]
    assert cost.parameters == 4 * (parameters + 8)
    assert cost.macs_per_frame == pytest.approx(4 * (parameters - biases) * PIXELS)


def test_a_shortcut_that_changes_the_width_is_one_more_convolution():
    """8 -> 12 -> 12 channels, 8 -> 12 on the way past, 12 read by the sum; the second block as above."""
    spec = tiny_spec().with_stages(up3=StagePlan("conv3d", 12, 2))
    first = (8 + 12) + (12 + 12) + (8 + 12) + 12
    assert moved_per_frame(spec, "up3") == pytest.approx((first + 5 * 12) * PIXELS)


def test_an_upsampler_reads_the_small_tensor():
    """up2: two blocks of 16 at 9 frames of a quarter of the pixels, then the enlarging convolution 16 -> 8."""
    blocks = 2 * 5 * 16 * PIXELS / 4
    assert moved_per_frame(tiny_spec(), "up2") == pytest.approx(blocks + (16 / 4 + 8) * PIXELS)


def test_an_enlarged_skip_is_read_small():
    """Wan 2.2: up2 adds its input of 32 channels, repeated to 16 channels at four times the pixels, to its output."""
    spec = wan_spec(8, blocks_per_stage=2, latents=FOUR_CHANNELS, residual=True)
    first = (32 + 16) + (16 + 16) + (32 + 16) + 16
    blocks = (first + 5 * 16) * PIXELS / 4
    assert moved_per_frame(spec, "up2") == pytest.approx(blocks + (16 / 4 + 16) * PIXELS + 32 * PIXELS / 4)


def test_attention_moves_eleven_tensors():
    """Queries, keys and values: 1 + 3; their product: 3 + 1; the projection: 1 + 1; the sum: 1. Beside two blocks."""
    latents = 3 * 2 * 4 / 9
    assert moved_per_frame(tiny_spec(), "mid") == pytest.approx((11 + 2 * 5) * 32 * latents)


def test_a_tiny_decoder_reads_two_frames_per_block():
    """TAEHV at 9 frames: up2 works on 6 of its input, then on 12 of which none is dropped yet."""
    spec = taehv_spec((8, 8, 4, 4), blocks=1, latents=FOUR_CHANNELS)
    block = (2 * 4 + 4) + (4 + 4) + (4 + 4) + 4
    grow, conv = 4 / 4 + 8, 4 + 4
    assert moved_per_frame(spec, "up2") * 9 == pytest.approx((block * 6 / 4 + grow * 6 + conv * 12) * PIXELS)
    assert moved_per_frame(spec, "head") == pytest.approx((4 + 3) * PIXELS)


@pytest.mark.parametrize("time", ["causal_replicate", "centred_replicate"])
def test_the_state_is_that_of_a_stream_that_has_begun_to_give_frames(time):
    """A decoder that looks far ahead holds nothing deep inside at first; what it comes to hold is counted."""
    spec = ltx_spec((8, 8, 4, 4), (1, 2, 1, 1, 2), latents=FOUR_CHANNELS, time=time)
    decoder = Decoder(spec)
    state, held = decoder.init_state(), []
    for z_NC1hw in torch.zeros(1, 4, 20, 1, 2).split(1, dim=2):
        _, state = decoder.step(z_NC1hw, state)
        held.append(state.nbytes())
    assert held[-1] == held[-2] == decoder_cost(spec, 9, 32, 64, element_bytes=4).state_bytes
    assert time == "causal_replicate" or held[0] < held[-1]


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
    for t in (1, 20):
        cost = decoder_cost(decoder.spec, scale * (t - 1) + 1, 2 * side, 3 * side, element_bytes=4)
        assert cost.state_bytes == state.nbytes()
        assert sum(part.state_bytes for part in cost.parts.values()) == cost.state_bytes
        assert min(part.state_bytes for part in cost.parts.values()) > 0
