"""What a GPU does in place of some convolutions gives the same numbers; a CPU does none of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from flash_vaed.memory_format import is_channels_last
from flash_vaed.operators.cudnn import convolved_images, mixed, mixes_channels, takes_images


def clip(channels: int = 8) -> torch.Tensor:
    return torch.randn(2, channels, 3, 5, 4).contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("bias", [torch.randn(16), None])
def test_a_mix_and_images_give_what_the_convolution_gives(bias):
    x, point, square = clip(), torch.randn(16, 8, 1, 1, 1), torch.randn(16, 8, 1, 3, 3)
    for made, expected in (
        (mixed(x, point, bias), F.conv3d(x, point, bias)),
        (convolved_images(x, square, bias), F.conv3d(x, square, bias, padding=(0, 1, 1))),
    ):
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
        assert is_channels_last(made), "the next layer would have to turn it"


def test_only_a_gpu_takes_them():
    assert not mixes_channels(clip(), torch.randn(16, 8, 1, 1, 1), 1)
    assert not takes_images(clip(), torch.randn(16, 8, 1, 3, 3), 1)
