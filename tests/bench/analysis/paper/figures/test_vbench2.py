"""A dimension's score is the mean over the videos judged."""

from __future__ import annotations

import pytest

from bench.analysis.paper.figures.vbench2 import cells, numbers, table
from tests.synthetic_paper import DIMENSIONS


def test_scores_are_means_over_videos(material):
    frame = numbers(material)
    assert len(frame) == 2 * len(DIMENSIONS)
    row = frame[(frame["arm"] == "flash-vaed-wan2.1") & (frame["dimension"] == "Human Identity")].iloc[0]
    assert (row["score"], row["videos"]) == (pytest.approx(0.4), 2)


def test_the_table_has_a_column_per_decoder_in_percent(material):
    rows = table(numbers(material))
    heading, *arms = cells(rows)
    assert [arm.heading for arm in arms] == ["wan2.1", "flash-vaed-wan2.1"]
    assert [arm.write(rows.iloc[0].to_dict()) for arm in arms] == ["50.0", "40.0"]
    assert heading.write(rows.iloc[0].to_dict()) == "Human Identity"
