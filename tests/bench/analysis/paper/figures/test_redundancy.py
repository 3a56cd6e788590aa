"""Curves as stored, and the table of their means."""

from __future__ import annotations

import pytest

from bench.analysis.paper.figures.redundancy import numbers, table
from bench.analysis.redundancy import redundancy


def test_curves_and_means(material):
    frame = numbers(material)
    assert set(frame["arm"]) == {"pca", "independence, none", "random"}
    means = table(frame).set_index("arm")
    assert list(means.loc["independence, none", ["0.125", "0.25", "0.5"]]) == [0.125, 0.25, 0.5]
    assert list(means.index) == ["pca", "independence, none", "random"], "the best at a quarter first"


def test_the_means_are_those_of_the_terminal(material):
    shares = redundancy(material.results)
    means = table(numbers(material)).set_index("arm")
    assert means.loc["random", "0.25"] == pytest.approx(shares[shares["arm"] == "random"][0.25].mean())
