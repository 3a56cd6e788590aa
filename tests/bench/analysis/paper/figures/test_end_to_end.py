"""Whole generations: medians, speed-up, and the ceiling that Amdahl's law sets."""

from __future__ import annotations

import pytest

from bench.analysis.paper.figures.end_to_end import generations, numbers


def test_medians_speedup_and_ceiling(material):
    frame = generations(material.results).set_index("arm")
    own, small = frame.loc["wan2.1"], frame.loc["flash-vaed-wan2.1"]
    assert list(own[["text_s", "denoise_s", "decode_s", "write_s", "end_to_end_s"]]) == [1.0, 5.0, 3.5, 0.5, 10.0]
    assert (own["speedup"], small["speedup"]) == (1.0, pytest.approx(10 / 7.5))
    assert small["amdahl_ceiling"] == own["amdahl_ceiling"] == pytest.approx(10 / 6.5)
    assert small["speedup"] < small["amdahl_ceiling"]


def test_the_paper_s_generations_are_quoted_below(material):
    frame = numbers(material)
    quoted = frame[frame["kind"] == "quoted"]
    assert dict(zip(quoted["arm"], quoted["end_to_end_s"], strict=True))["Flash-VAED-Wan 2.1"] == 7.41
    assert set(quoted["decode_s"].dropna()) == {3.172}
    assert quoted["speedup"].isna().all()
