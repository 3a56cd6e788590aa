"""Lots are one ranking: the mean, and how far apart they lie."""

from __future__ import annotations

import pytest

from bench.analysis.paper.figures.criteria import numbers


def test_lots_are_a_mean_with_a_range(material):
    frame = numbers(material).set_index("ranking")
    lots = frame.loc["random"]
    assert (lots["psnr_untrained_teacher"], lots["runs"]) == (pytest.approx(21.0), 3)
    assert (lots["psnr_untrained_teacher_low"], lots["psnr_untrained_teacher_high"]) == (20.0, 22.0)
    assert (lots["psnr_teacher_low"], lots["psnr_teacher_high"]) == (pytest.approx(24.0), pytest.approx(26.0))
    assert list(frame.index) == ["independence (output)", "random"]
