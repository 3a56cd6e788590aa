"""One row per share, from large to small, the control left out."""

from __future__ import annotations

from bench.analysis.paper.figures.pruning_ratio import numbers


def test_rows_by_share(material):
    frame = numbers(material)
    assert list(frame["ratio"]) == [1.0, 0.5, 0.25, 0.125]
    assert list(frame["psnr_untrained_teacher"]) == [30.0, 29.0, 28.0, 27.0]
    assert list(frame["psnr_teacher"].round(9)) == [32.0, 31.0, 30.0, 29.0]
    assert (frame["speedup_low"] <= frame["speedup"]).all()
