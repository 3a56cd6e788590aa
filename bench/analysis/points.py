"""What a Pareto picture shows, before anyone draws it: the points, the front, the teacher and a colour per plan.

The interactive figure and the paper's both start here, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.columns import KNOWN, Column, find_column
from bench.analysis.pareto import GROUP, pareto_front

# Okabe and Ito's colour-blind-safe set without its yellow, which vanishes on white; grey is kept for the teacher.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
TEACHER_COLOUR = "#6E6E6E"


@dataclass(frozen=True)
class Points:
    """`rows` is the part of the summary that has both numbers, best quality first, with `on_front` for these two axes.

    `low` and `high` bound x where an interval is known, NaN elsewhere; `teacher` is its (x, y), None if not measured.
    """

    x: Column
    y: Column
    rows: pd.DataFrame
    low: np.ndarray
    high: np.ndarray
    teacher: tuple[float, float] | None

    @property
    def front(self) -> pd.DataFrame:
        """The rows on the front, ordered along x."""
        return self.rows[self.rows["on_front"]].sort_values(self.x.name)


def pareto_points(summary: pd.DataFrame, x: str, y: str, columns: Mapping[str, Column] = KNOWN) -> Points:
    """The points of cost `x` against quality `y`.

    Raises `ValueError` for an unknown column, and for rows of more than one device or protocol: they share no picture.
    """
    x_column, y_column = find_column(x, columns), find_column(y, columns)
    if len(summary[GROUP].drop_duplicates()) > 1:
        raise ValueError("rows of different devices or protocols cannot share one picture; choose one group first")
    rows = summary.reindex(columns=[*summary.columns, *({x, y} - set(summary.columns))])
    has_both = np.isfinite(rows[[x, y]].astype(float)).all(axis=1) & (rows["status"] == "ok")
    rows = rows[has_both].assign(on_front=pareto_front(rows, x, y, columns)[has_both])
    rows = rows.sort_values(y, ascending=not y_column.higher_is_better, kind="stable")
    bounds = [rows.get(f"{x}_{end}", pd.Series(np.nan, rows.index)).to_numpy(dtype=float) for end in ("low", "high")]
    return Points(x_column, y_column, rows, bounds[0], bounds[1], _teacher(rows, x, y))


def plan_colours(plans: Iterable[str]) -> dict[str, str]:
    """A colour per plan name; the same names get the same colours."""
    names = sorted({str(name) for name in plans} - {"teacher"})
    colours = {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(names)}
    return {**colours, "teacher": TEACHER_COLOUR}


def _teacher(rows: pd.DataFrame, x: str, y: str) -> tuple[float, float] | None:
    """Median of the teacher's numbers over the runs that measured it; its speed-up over itself is 1."""
    place = [
        1.0 if name == "speedup" else rows.get(f"teacher_{name}", pd.Series(dtype=float)).median() for name in (x, y)
    ]
    return (float(place[0]), float(place[1])) if len(rows) and np.isfinite(place).all() else None
