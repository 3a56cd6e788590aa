"""The waterfall adds levers step by step, and each step's gain is over the one before."""

from __future__ import annotations

import pytest

from bench.analysis.paper.figures.runtime_levers import levers, numbers, waterfall


def test_levers_of_a_runtime():
    runtime = {"dtype": "bfloat16", "rewrites": ["values"], "channels_last": True, "compile": "default", "chunk": 1}
    assert levers(runtime) == {"bfloat16", "values", "channels last", "compiled", "chunk 1"}
    assert levers({"dtype": "float32", "chunk": None, "rewrites": [], "compile": "off"}) == frozenset()


def test_the_longest_row_of_growing_sets_is_the_waterfall():
    pulled = {
        "none": frozenset(),
        "a": frozenset("a"),
        "b": frozenset("b"),
        "bc": frozenset("bc"),
        "abc": frozenset("abc"),
    }
    assert waterfall(list(pulled), pulled) == ["none", "b", "bc", "abc"]
    assert waterfall(["none"], pulled) == ["none"]


def test_ratios_gains_and_steps(material):
    frame = numbers(material).set_index("arm")
    assert frame["ms"].to_dict() == {"eager": 400, "subpixel": 360, "compiled": 440, "rewrites": 320, "fast": 160}
    assert frame.loc["fast", "ratio"] == pytest.approx(2.5)
    assert frame.loc["fast", "gain"] == pytest.approx(2.0)
    assert frame["step"].dropna().to_dict() == {"eager": 0, "subpixel": 1, "rewrites": 2, "fast": 3}
    assert frame.loc["compiled", "accepted"] == 0
