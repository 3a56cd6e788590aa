"""Depthwise-separable 3D convolution with a 5x5x5 filter per channel."""

from __future__ import annotations

from flash_vaed.operators.base import OPERATORS
from flash_vaed.operators.depthwise3d import Depthwise3d


@OPERATORS.register("depthwise3d_5")
class Depthwise3dWide(Depthwise3d):
    """As in the deep stages of Turbo-VAED (arXiv 2508.09136)."""

    size = 5
