"""Stage times in milliseconds, and the paper's own beside them, never mixed."""

from __future__ import annotations

import pytest

from bench.analysis.paper.figures.stage_latency import numbers


def test_milliseconds_and_shares(material):
    frame = numbers(material)
    row = frame[(frame["arm"] == "flash-vaed") & (frame["stage"] == "up1")].iloc[0]
    assert (row["ms"], row["convolution_ms"]) == (pytest.approx(4.0), pytest.approx(2.0))
    assert (row["share"], row["convolution_share"]) == (pytest.approx(40 / 60), pytest.approx(0.5))
    assert row["decoder"] == "flash-vaed-wan2.1"


def test_the_printed_times_are_marked_and_have_their_source(material):
    quoted = numbers(material).query("kind == 'quoted'").set_index("stage")
    assert quoted.loc["up2", "ms"] == 95.7
    assert quoted.loc["up2", "convolution_ms"] == pytest.approx(95.7 * 0.732)
    assert quoted["arm"].str.endswith("\N{DAGGER}").all()
    assert quoted["source"].str.contains("latency.png").all()
    assert quoted["run_id"].isna().all()
