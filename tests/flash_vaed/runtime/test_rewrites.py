"""Exact rewrites give the frames of the plain decoder: at borders, in the first frame, whole and in a stream."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from flash_vaed import Decoder, StagePlan
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.taehv import taehv_spec
from flash_vaed.families.wan import wan_spec
from flash_vaed.runtime import RuntimeOptions, optimize
from flash_vaed.runtime.rewrites import REWRITES, in_order
from flash_vaed.runtime.rewrites.subpixel import SubpixelConv
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder, random_latents, scramble, tiny_spec

TEACHER = tiny_spec(8)
STUDENT = tiny_spec(16).with_stages(  # its up1 hands over few channels, where composing pays
    up1=StagePlan("depthwise3d", 64, 2, "spatiotemporal", 4),
    up2=StagePlan("conv2d", 8, 2, "spatial", 8, shortcut="always"),
    up3=StagePlan("conv2d", 8, 2, shortcut="always"),
)
TAEHV = taehv_spec((16, 8, 8, 8), latents=FOUR_CHANNELS)
SPECS = {"teacher": TEACHER, "student": STUDENT, "taehv": TAEHV}
PLACES = {
    "teacher": {"values": 1, "composed": 0, "subpixel": 3},
    "student": {"values": 1, "composed": 1, "subpixel": 3},
    "taehv": {"values": 0, "composed": 0, "subpixel": 3},
}
ALL = ("values", "composed", "subpixel")


def rewritten(decoder: Decoder, *names: str) -> Decoder:
    changed = copy.deepcopy(decoder)
    for name in in_order(names):
        REWRITES.get(name)(changed)
    return changed


@pytest.mark.parametrize("chunk", [None, 1, 2])
@pytest.mark.parametrize("names", [*((name,) for name in ALL), ALL])
@pytest.mark.parametrize("spec", SPECS)
def test_frames_stay_the_same(spec, names, chunk):
    decoder, z = random_decoder(SPECS[spec]), random_latents(4, 5, 3)
    plain, fast = decoder.decode(z), rewritten(decoder, *names).decode(z, chunk=chunk)
    assert plain.std() > 0.01
    assert (fast - plain).abs().max() < 1e-4
    assert (fast - plain)[:, :, 0].abs().max() < 1e-4
    assert (fast - plain)[..., -1, :].abs().max() < 1e-4


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("spec", SPECS)
def test_a_rewrite_applies_where_it_can_and_does_less_work(spec, name):
    decoder = random_decoder(SPECS[spec])
    changed = copy.deepcopy(decoder)
    places = REWRITES.get(name)(changed)
    assert places == PLACES[spec][name]
    before, after = macs(decoder), macs(changed)
    assert after < before if places else after == before


def macs(decoder: Decoder) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy.deepcopy(decoder).to("meta")(random_latents(2, 8, 8).to("meta"))
    return counter.get_total_flops()


def test_what_is_composed_is_not_split_again():
    fast = optimize(random_decoder(STUDENT), RuntimeOptions(rewrites=ALL[::-1]))
    assert fast.places == {"values": 1, "composed": 1, "subpixel": 2}


def test_ltx_has_nothing_of_the_kind():
    decoder = random_decoder(ltx_spec((8, 8, 8, 8), (1, 1, 1, 1, 1)))
    assert optimize(decoder, RuntimeOptions(rewrites=ALL)).places == dict.fromkeys(ALL, 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 3)])
def test_four_small_kernels_are_the_large_one_on_doubled_pixels(size):
    torch.manual_seed(0)
    weight, bias = torch.randn(5, 3, 3, 3, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    x = torch.randn(2, 3, 2, *size, dtype=torch.float64)
    doubled = F.interpolate(x, scale_factor=(1, 2, 2), mode="nearest")
    expected = F.conv3d(doubled, weight.unsqueeze(2), bias, padding=(0, 1, 1))
    torch.testing.assert_close(SubpixelConv(weight, bias)(x), expected, atol=1e-12, rtol=0)


def test_names_are_checked_and_ordered():
    assert in_order(("subpixel", "values")) == ("values", "subpixel")
    with pytest.raises(ValueError, match="did you mean 'subpixel'"):
        in_order(("subpixels",))
    with pytest.raises(ValueError, match="named twice"):
        in_order(("values", "values"))


def test_the_given_decoder_is_not_changed():
    decoder = random_decoder(STUDENT)
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    optimize(decoder, RuntimeOptions("bfloat16", ALL, channels_last=True))
    assert all(torch.equal(value, before[name]) for name, value in decoder.state_dict().items())


def test_at_full_width_the_student_composes_one_upsampler_and_the_teacher_none():
    from flash_vaed.families.zoo import SPECS as RELEASED

    for name, expected in (("wan2.1", 0), ("flash-vaed-wan2.1", 1)):
        with torch.device("meta"):
            decoder = Decoder(RELEASED[name])
        assert REWRITES.get("composed")(decoder) == expected


def test_gains_and_biases_do_not_hide_a_mistake():
    """A time convolution whose bias is large shows where the border map is wrong."""
    decoder = Decoder(
        wan_spec(16, latents=FOUR_CHANNELS).with_stages(
            up1=STUDENT.stages["up1"], up2=STUDENT.stages["up2"], up3=STUDENT.stages["up3"]
        )
    )
    scramble(decoder, 3)
    with torch.no_grad():
        decoder.stages["up1"].upsampler.time_conv.bias.mul_(20)
    decoder.eval().requires_grad_(False)
    z = random_latents(3, 3, 4)
    assert (rewritten(decoder, "composed")(z) - decoder(z)).abs().max() < 1e-4 * decoder(z).abs().max().clamp_min(1)
