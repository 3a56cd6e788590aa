"""A clip becomes the same tensor everywhere: size, crop, range; nothing else is done to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data import ClipProtocol


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"frames": 16}, "4n \\+ 1"),
        ({"frames": 0}, "4n \\+ 1"),
        ({"frames": -3}, "4n \\+ 1"),
        ({"size": 100}, "multiple of 8"),
        ({"size": 0}, "multiple of 8"),
        ({"stride": 0}, "stride"),
        ({"start": -1}, "start"),
    ],
)
def test_impossible_protocols_are_refused(values, word):
    with pytest.raises(ValueError, match=word):
        ClipProtocol(**values)


def test_stop_is_one_past_the_last_frame_used():
    protocol = ClipProtocol(frames=5, stride=3, start=2)
    assert protocol.stop == max(range(2, 1000, 3)[:5]) + 1


def test_same_size_is_an_exact_centre_crop():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 40, 3), dtype=np.uint8)
    x = ClipProtocol(frames=5, size=16).fit(pixels)
    assert x.shape == (3, 5, 16, 16)
    assert x.dtype == torch.float32
    assert x.is_contiguous()
    expected = torch.from_numpy(pixels[:, :, 12:28]).permute(3, 0, 1, 2).float() / 127.5 - 1
    torch.testing.assert_close(x, expected)


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (16, 16), (7, 9), (1, 1), (200, 201)])
def test_any_shape_keeps_its_colour_and_stays_in_range(shape):
    grey = np.full((1, *shape, 3), (0, 128, 255), np.uint8)
    x = ClipProtocol(frames=1, size=16).fit(grey)
    assert x.shape == (3, 1, 16, 16)
    assert x.min() >= -1
    assert x.max() <= 1
    torch.testing.assert_close(x.mean(dim=(1, 2, 3)), torch.tensor([-1.0, 128 / 127.5 - 1, 1.0]), atol=1e-5, rtol=0)


def test_shrinking_is_antialiased():
    """Fine stripes, one pixel in four, become their mean; sampling without antialiasing would make them brighter."""
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, 1::4] = 255
    x = ClipProtocol(frames=1, size=16).fit(stripes)
    assert (x[..., 2:-2] + 0.5).abs().max() < 0.1


def test_aspect_is_kept():
    """A circle stays a circle: equal extent both ways after the resize of a wide frame."""
    rows, columns = np.mgrid[:90, :160]
    disc = ((rows - 45) ** 2 + (columns - 80) ** 2 < 30**2).astype(np.uint8)[None, ..., None] * 255
    x = ClipProtocol(frames=1, size=48).fit(np.repeat(disc, 3, axis=3))[0, 0] > 0
    assert abs(int(x.any(0).sum()) - int(x.any(1).sum())) <= 1
