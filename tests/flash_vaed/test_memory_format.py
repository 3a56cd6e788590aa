"""Clips keep their order in memory when they are joined."""

from __future__ import annotations

import pytest
import torch

from flash_vaed.memory_format import in_time, order_of


@pytest.mark.parametrize("before", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
def test_clips_in_time_take_the_order_of_the_last(order, before):
    first = torch.randn(2, 3, 1, 4, 5).contiguous(memory_format=before)
    second, third = (torch.randn(2, 3, T, 4, 5).contiguous(memory_format=order) for T in (2, 3))
    joined = in_time(first, second, third)
    assert torch.equal(joined, torch.cat([first, second, third], dim=2))
    assert order_of(joined) == order_of(second) == order


def test_nothing_may_lie_in_front():
    x = torch.randn(1, 3, 2, 4, 5).contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(in_time(x[:, :, :0], x), x)
