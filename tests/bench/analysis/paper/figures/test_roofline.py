"""Intensity and rate from counted work and measured time."""

from __future__ import annotations

import pytest

from bench.analysis.paper.figures.roofline import numbers


def test_intensity_and_rate(material):
    row = numbers(material).set_index(["arm", "stage"]).loc[("teacher", "up1")]
    assert row["intensity"] == pytest.approx(2e9 / 1e6), "2 FLOP per MAC, 1 MB per frame"
    assert row["rate"] == pytest.approx(10 * 2e9 / 0.040), "ten frames in 40 ms"
    assert (row["matmul_flops"], row["copy_bytes"]) == (1e12, 1e9)
    assert row["roofline"] == pytest.approx(max(2e10 / 1e12, 1e7 / 1e9) / 0.040)
