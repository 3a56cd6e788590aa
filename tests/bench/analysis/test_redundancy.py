"""Curves in short: the value at a share of the channels, seeds averaged, sites kept apart."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.analysis import Results
from bench.analysis.redundancy import redundancy, render_text


def results(*curves: tuple[str, str, list[float]]) -> Results:
    rows = [
        {"run_id": "r", "arm": arm, "stage": site, "metric": "r2_of_width", "repeat": width, "value": value}
        for arm, site, values in curves
        for width, value in enumerate(values, start=1)
    ]
    columns = ["run_id", "arm", "stage", "metric", "repeat", "value"]
    return Results(pd.DataFrame({"run_id": ["r"]}), pd.DataFrame(rows, columns=columns))


def ramp(channels: int, end: float = 1.0) -> list[float]:
    return [end * width / channels for width in range(1, channels + 1)]


def test_the_value_at_each_share_of_a_sites_own_channels():
    table = redundancy(results(("pca", "a", ramp(8)), ("pca", "b", ramp(32)))).set_index("stage")
    assert table.loc["a", [0.125, 0.25, 0.5]].tolist() == table.loc["b", [0.125, 0.25, 0.5]].tolist()
    assert table.loc["a", [0.125, 0.25, 0.5]].tolist() == [0.125, 0.25, 0.5]
    assert table["channels"].to_dict() == {"a": 8, "b": 32}


def test_seeds_are_averaged():
    table = redundancy(results(("random, seed 0", "a", ramp(8)), ("random, seed 1", "a", ramp(8, 0.5))))
    assert table["arm"].tolist() == ["random"]
    assert table[0.5].tolist() == [pytest.approx(0.375)]


def test_the_best_ranking_comes_first_and_nothing_stored_is_no_text():
    text = render_text(results(("low", "a", ramp(8, 0.5)), ("pca", "a", ramp(8))))
    assert text.index("pca") < text.index("low")
    assert render_text(results()) == ""


def test_where_all_choices_were_tried_the_text_says_how_near_independence_comes():
    ours = ("independence, none", "a", [0.5, 0.6, *ramp(8)[2:]])
    text = render_text(results(("best subset", "a", [0.5, 0.8]), ours, ("pca", "a", ramp(8))))
    assert "2 widths: independence, none reaches 87.5% of the best one's share on average, 75.0% at worst" in text
    assert "\nbest subset" not in text, "a mean over few widths does not belong beside means over all"
