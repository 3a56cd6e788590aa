"""Seeds of one set of phases are one row."""

from __future__ import annotations

import pytest

from bench.analysis.paper.figures.phases import numbers


def test_seeds_are_a_mean_with_a_range(material):
    frame = numbers(material).set_index("phases")
    assert list(frame.index) == ["align+joint", "none"]
    both = frame.loc["align+joint"]
    assert both["psnr_teacher"] == pytest.approx(31.0)
    assert (both["psnr_teacher_low"], both["psnr_teacher_high"]) == (pytest.approx(30.0), pytest.approx(32.0))
    assert frame["runs"].to_dict() == {"align+joint": 3, "none": 1}
