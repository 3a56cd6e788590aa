"""The moving camera: the same frames for the same name, real motion of the intended size, nothing outside the photo."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.camera import FRAMES, SPEEDS, VIEW_HEIGHT, VIEW_WIDTH, _path, camera_clip

PHOTO = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)


@pytest.mark.parametrize("motion", SPEEDS)
def test_same_name_same_frames_other_name_other_frames(motion):
    first = camera_clip(PHOTO, "a", motion, 0, 5)
    assert first.shape == (5, VIEW_HEIGHT, VIEW_WIDTH, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, camera_clip(PHOTO, "a", motion, 0, 5))
    assert np.abs(first.astype(int) - camera_clip(PHOTO, "b", motion, 0, 5)).mean() > 5


def test_a_window_is_the_same_frames_as_the_whole_clip():
    begin = camera_clip(PHOTO, "a", "pan", 0, 8)
    np.testing.assert_array_equal(camera_clip(PHOTO, "a", "pan", 1, 8, 3), begin[1:8:3])
    assert len(camera_clip(PHOTO, "a", "pan", stride=FRAMES - 1)) == 2
    assert len(camera_clip(PHOTO, "a", "pan", FRAMES, 99)) == 0


@pytest.mark.parametrize("name", ["coffee.pan", "chelsea.pan", "grass.pan"])
def test_pan_moves_one_to_six_pixels_a_frame_on_average_and_never_jumps(name):
    step_pixels = _path(name, "pan")[:, :2].diff(dim=0).norm(dim=1)
    assert 1 < step_pixels.mean() < 6
    assert step_pixels.max() < 12


def test_consecutive_frames_differ_but_are_alike():
    clip = camera_clip(PHOTO, "a", "turn", 0, 9).astype(np.int16)
    change = np.abs(np.diff(clip, axis=0)).mean(axis=(1, 2, 3))
    unlike = np.abs(clip[0] - clip[8]).mean()
    assert change.min() > 0.5
    assert change.mean() < unlike


def test_a_grey_photo_stays_exactly_grey():
    clip = camera_clip(np.full((300, 400, 3), 77, np.uint8), "a", "zoom", 0, 3)
    assert (clip == 77).all()
