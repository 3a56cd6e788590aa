"""Depthwise-separable 3D convolution with two 3x3x3 filters per input channel, so twice the rank to mix from."""

from __future__ import annotations

from flash_vaed.operators.base import OPERATORS
from flash_vaed.operators.depthwise3d import Depthwise3d


@OPERATORS.register("depthwise3d_x2")
class Depthwise3dDouble(Depthwise3d):
    """Between `depthwise3d` and a dense convolution: depth multiplier 2."""

    multiplier = 2
