"""Seeds become one row with their mean and their range."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.analysis.variants import over_seeds


@pytest.fixture
def summary():
    return pd.DataFrame({
        "status": ["ok", "ok", "ok", "oom"], "device_id": "a", "protocol_id": "p",
        "phases": ["joint", "joint", "none", "joint"], "psnr": [30.0, 31.0, 25.0, 99.0],
    })  # fmt: skip


def test_mean_and_range_of_the_finished_runs(summary):
    table = over_seeds(summary, ["phases"], ["psnr", "lpips"]).set_index("phases")
    assert list(table.loc["joint", ["runs", "psnr", "psnr_low", "psnr_high"]]) == [2, 30.5, 30.0, 31.0]
    assert list(table.index) == ["joint", "none"]
    assert table["lpips"].isna().all()


@pytest.mark.parametrize("column", ["device_id", "protocol_id"])
def test_runs_that_are_not_comparable_have_no_mean(summary, column):
    summary.loc[0, column] = "other"
    with pytest.raises(ValueError, match="no common mean"):
        over_seeds(summary, ["phases"], ["psnr"])
