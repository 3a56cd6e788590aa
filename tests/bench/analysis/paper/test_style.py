"""One colour per decoder, plain text, and a look that leaves matplotlib as it was."""

from __future__ import annotations

import sys

import matplotlib
import numpy as np
import pytest

from bench.analysis.paper import style
from bench.analysis.points import PALETTE, TEACHER_COLOUR


@pytest.mark.parametrize(
    ("names", "colour"),
    [
        (("teacher", "wan2.1", "Wan 2.1", "ltx-video", "LTX-Video"), TEACHER_COLOUR),
        (("student", "flash-vaed-wan2.1", "Flash-VAED-LTX", "ours"), PALETTE[0]),
        (("lightvae-wan2.1", "LightTAE"), PALETTE[1]),
        (("taew2.1", "TAEHV"), PALETTE[2]),
        (("Turbo-VAED-LTX",), PALETTE[3]),
    ],
)
def test_a_decoder_has_one_colour_under_all_its_names(names, colour):
    assert {style.decoder_colour(name) for name in names} == {colour}


def test_text_is_one_printable_line():
    assert style.plain("a\nb\x00$_x$") == "a b $_x$"
    assert style.plain("x" * 50, 10) == "x" * 9 + "…"


def test_error_bars_are_relative_and_zero_where_nothing_is_known():
    bars = style.bars_of([2.0, 3.0], [1.5, np.nan], [4.0, np.nan])
    np.testing.assert_allclose(bars, [[0.5, 0], [2.0, 0]])


@pytest.mark.parametrize(("kept", "written"), [(1.0, "1"), (0.125, "1/8"), (1 / 3, "1/3"), (0.3, "0.3"), (0.0, "0")])
def test_shares_are_fractions(kept, written):
    assert style.share(kept) == written


@pytest.mark.parametrize(("value", "written"), [(0.3, "0.3"), (30, "30"), (3000, "3 K"), (1e11, "100 G")])
def test_ticks_have_prefixes(value, written):
    assert style.tick(value) == written


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    with style.drawing():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ValueError, match=r"flash-vaed\[figures\]"), style.drawing():
        pass


def test_labels_cover_neither_points_nor_each_other():
    points = [(float(x), 0.1 * (x % 2), f"point {x}", "black") for x in range(12)]
    with style.drawing():
        _, axes = style.sheet(3.3, 2.0)
        axes[0, 0].plot([x for x, *_ in points], [y for _, y, *_ in points], "o")
        style.label_points(axes[0, 0], points)
        boxes = [text.get_window_extent() for text in axes[0, 0].texts]
    assert 4 <= len(boxes) <= 12
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[place + 1 :])
    assert axes[0, 0].texts[0].get_text() == "point 0", "the first ones first"
