"""Only runs that change one stage's operator and nothing else are in the table."""

from __future__ import annotations

from bench.analysis.paper.figures.operators import numbers


def test_single_swaps_only(material):
    frame = numbers(material)
    assert list(zip(frame["stage"], frame["operator"], strict=True)) == [("up1", "conv2d"), ("up3", "depthwise3d")]
    assert list(frame["psnr_untrained_teacher"]) == [40.0, 35.0]
