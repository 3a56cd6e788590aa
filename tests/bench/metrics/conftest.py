"""Clips to measure: smooth moving structure, and the same with known damage."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


@pytest.fixture
def clip_CTHW() -> Tensor:
    """A textured clip (3, 5, 40, 48) in [-0.8, 0.8] that moves one pixel a frame."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.rand(3, 1, 40, 56, generator=generator) * 1.6 - 0.8
    return torch.cat([wide[:, :, :, t : t + 48] for t in range(5)], dim=1)
