"""The front is what nothing beats, computed apart for each device and protocol."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis import pareto_front


def frame(points, cost="speedup", quality="psnr_source", **more):
    table = pd.DataFrame(points, columns=[cost, quality])
    return table.assign(status="ok", device_id="d", protocol_id="p", **more)


def test_four_points_by_hand():
    summary = frame([(1.0, 30.0), (2.0, 29.0), (2.0, 28.0), (1.5, 28.5)])
    assert list(pareto_front(summary)) == [True, True, False, False]


def test_lower_is_better_where_the_column_says_so():
    summary = frame([(100.0, 30.0), (50.0, 29.0), (60.0, 28.0)], cost="decode_time_ms")
    assert list(pareto_front(summary, cost="decode_time_ms")) == [True, True, False]
    assert (
        list(pareto_front(frame([(1.0, 0.1), (2.0, 0.2)], quality="lpips_source"), quality="lpips_source"))
        == [True] * 2
    )
    assert list(pareto_front(frame([(2.0, 0.1), (1.0, 0.2)], quality="lpips_source"), quality="lpips_source")) == [
        True,
        False,
    ]


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_definition(seed):
    points = np.random.default_rng(seed).integers(0, 6, (30, 2)).astype(float)
    beaten = [any((other >= point).all() and (other > point).any() for other in points) for point in points]
    assert list(pareto_front(frame(points))) == [not lost for lost in beaten]


def test_equal_points_share_the_front():
    assert list(pareto_front(frame([(2.0, 29.0), (2.0, 29.0)]))) == [True, True]


@pytest.mark.parametrize("column", ["device_id", "protocol_id"])
def test_groups_are_never_ranked_together(column):
    summary = frame([(1.0, 30.0), (9.0, 40.0)])
    summary[column] = ["a", "b"]
    assert list(pareto_front(summary)) == [True, True]


def test_failed_and_incomplete_runs_are_never_on_the_front():
    summary = frame([(9.0, 40.0), (np.nan, 50.0), (np.inf, 50.0), (1.0, 20.0)])
    summary.loc[0, "status"] = "oom"
    assert list(pareto_front(summary)) == [False, False, False, True]


def test_adding_a_beaten_point_changes_nothing():
    summary = frame([(1.0, 30.0), (2.0, 29.0)])
    more = pd.concat([summary, frame([(0.5, 10.0)])], ignore_index=True)
    assert list(pareto_front(more))[:2] == list(pareto_front(summary))
    assert not pareto_front(more)[2]


def test_a_column_without_a_direction_is_refused():
    with pytest.raises(ValueError, match="unknown column 'mood'"):
        pareto_front(frame([(1.0, 2.0)]), quality="mood")


def test_no_rows_or_no_such_numbers():
    assert pareto_front(frame([])).empty
    assert not pareto_front(frame([(1.0, 2.0)]).drop(columns="psnr_source")).any()
