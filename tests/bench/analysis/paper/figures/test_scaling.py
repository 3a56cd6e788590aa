"""Throughput and memory by geometry."""

from __future__ import annotations

import pytest

from bench.analysis.paper.figures.scaling import numbers


def test_throughput_by_geometry(material):
    frame = numbers(material).set_index(["arm", "frames", "height"])
    large = frame.loc[("whole", 10, 128)]
    assert large["fps"] == pytest.approx(10 / 0.4)
    assert large["mpixel_per_s"] == pytest.approx(10 * 128 * 128 / 0.4 / 1e6)
    assert large["fps_low"] <= large["fps"] <= large["fps_high"]
    assert frame.loc[("chunk-1", 20, 64), "fps"] == pytest.approx(20 / 0.4)
    assert frame.loc[("chunk-1", 20, 64), "peak_memory_mb"] == 200
