"""A study as a grid: what its runs differ in, and one number over two of these axes."""

from __future__ import annotations

import pandas as pd

from bench.analysis.deltas import with_variants
from bench.analysis.spec import SPEC_COLUMNS
from bench.analysis.study import split_label

MOST_VALUES = 40  # an axis with more is a list, not an axis


def axes_of(summary: pd.DataFrame) -> dict[str, pd.Series]:
    """Axes by name, each a text per row of `summary`: the variant, keys of the labels, what the specifications vary in,
    and, where every edit is of one kind, the changed stages and their operator.
    """
    runs = with_variants(summary)
    axes = {"variant": runs["variant"]}
    corners = [split_label(str(label))[1] for label in runs["label"]]
    for key in dict.fromkeys(key for corner in corners for key in corner):
        axes[key] = pd.Series([corner.get(key) for corner in corners], index=runs.index, dtype=object)
    edits = [_single_edit(text) for text in runs["stages"]]
    axes["changed stage"] = pd.Series([stages for stages, _ in edits], index=runs.index, dtype=object)
    axes["operator"] = pd.Series([operator for _, operator in edits], index=runs.index, dtype=object)
    for name in SPEC_COLUMNS:
        if name not in axes and name not in ("stages", "timing", "timed_frames"):
            axes[name] = runs[name].map(_text, na_action="ignore")
    return {name: values for name, values in axes.items() if 1 < values.nunique() <= MOST_VALUES}


def grid(summary: pd.DataFrame, rows: str, columns: str, value: str) -> pd.DataFrame:
    """Mean of column `value` of the finished runs over two axes of `axes_of`, each ordered as first met."""
    finished = summary[summary["status"] == "ok"]
    axes = axes_of(finished)
    if rows not in axes or columns not in axes:
        return pd.DataFrame()
    table = pd.DataFrame({"row": axes[rows], "column": axes[columns], "value": finished[value].astype(float)}).dropna()
    wide = table.pivot_table(index="row", columns="column", values="value", aggfunc="mean", sort=False)
    return wide.reindex(index=_in_order(wide.index), columns=_in_order(wide.columns))


def _in_order(names: pd.Index) -> list[str]:
    """By number where all are numbers, else as they are."""
    try:
        return sorted(names, key=float)
    except ValueError:
        return list(names)


def _single_edit(stages: object) -> tuple[str | None, str | None]:
    """(changed stages, operator) of a description such as `up0 up1 conv2d`; None where it is not one such edit."""
    words = str(stages).split()
    if "," in str(stages) or len(words) < 2 or "pruned" in words or "to" in words:
        return None, None
    return " ".join(words[:-1]), words[-1]


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
