"""Ours and theirs stand in blocks of their own."""

from __future__ import annotations

import dataclasses

import pytest

from bench.analysis.paper.figures.reconstruction import FIGURE, numbers
from bench.analysis.paper.latex import DAGGER, table


def test_measured_rows_are_the_summary_s(material):
    frame = numbers(material)
    ours = frame[frame["kind"] == "measured"].set_index("decoder")
    student = ours.loc["ours, 1/2 of the channels, 120 steps"]
    assert (student["psnr"], student["ssim"]) == (pytest.approx(28.0), pytest.approx(0.7))
    assert student["speedup_low"] <= student["speedup"] <= student["speedup_high"]
    assert ours.loc["teacher", "psnr"] == pytest.approx(30.0)
    fast = ours.loc["flash-vaed-wan2.1 (eager, float32)"]
    assert (fast["fps"], fast["speedup"]) == (pytest.approx(100.0), pytest.approx(10.0))


def test_quoted_rows_are_as_printed_marked_and_apart(material):
    frame = numbers(material)
    quoted = frame[frame["kind"] == "quoted"]
    assert quoted["decoder"].str.endswith(DAGGER).all()
    assert quoted["speedup"].isna().all(), "never compared with ours"
    assert not set(quoted["block"]) & set(frame[frame["kind"] == "measured"]["block"])
    flash = quoted[(quoted["decoder"] == f"Flash-VAED-LTX{DAGGER}") & (quoted["device"] == "RTX 5090D")].iloc[0]
    assert (flash["fps"], flash["psnr"], flash["ssim"], flash["lpips"]) == (1167.99, 32.24, 0.9293, 0.0551)
    assert (quoted["source"].notna() & quoted["protocol"].notna()).all()


def test_the_table_writes_no_digit_that_was_not_printed(material):
    written = table(numbers(material), FIGURE.cells, caption="", label="", blocks="block")
    assert r"TAEHV\textsuperscript{\textdagger} & RTX 5090 & -- & 489 & -- & 28.96 & 0.865 & 0.071 \\" in written


def test_printed_numbers_alone_are_no_figure(material):
    assert numbers(dataclasses.replace(material, study="nobody's")).empty
