"""Runs that differ in nothing but their seed, as one row: the mean, and how far apart they lie."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def over_seeds(summary: pd.DataFrame, by: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """One row per value of `by` among the finished runs, in order of appearance.

    Every column becomes three: its mean, and `_low` and `_high`, the smallest and the largest of the runs. With three
    seeds that is the whole truth; an interval from them would only look like more. `runs` counts them. A column that
    the summary lacks is NaN; rows of one device and protocol only, or `ValueError`.
    """
    finished = summary[summary["status"] == "ok"]
    if len(finished[["device_id", "protocol_id"]].drop_duplicates()) > 1:
        raise ValueError("runs of different devices or protocols have no common mean; choose one group first")
    finished = finished.reindex(columns=[*finished.columns, *(set(columns) - set(finished.columns))])
    groups = finished.groupby(list(by), sort=False, dropna=False)
    parts = [groups.size().rename("runs")]
    for name in columns:
        values = finished[name].astype(float).groupby([finished[key] for key in by], sort=False, dropna=False)
        parts += [values.mean().rename(name), values.min().rename(f"{name}_low"), values.max().rename(f"{name}_high")]
    return pd.concat(parts, axis=1).reset_index()
