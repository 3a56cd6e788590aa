"""Which runs nothing else beats: the Pareto front of one cost and one quality.

Numbers from different devices, or judged by a different protocol, are never ranked together: each
(device_id, protocol_id) group has its own front.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.analysis.columns import KNOWN, Column, find_column

GROUP = ["device_id", "protocol_id"]


def pareto_front(
    summary: pd.DataFrame, cost: str = "speedup", quality: str = "psnr_source", columns: Mapping[str, Column] = KNOWN
) -> pd.Series:
    """True for each row of its group that no other row beats in one column without losing in the other.

    Rows that failed or lack a number are never on the front; equal rows share it. A column of unknown direction is a
    `ValueError`.
    """
    signs = [1.0 if find_column(name, columns).higher_is_better else -1.0 for name in (cost, quality)]
    on_front = pd.Series(False, index=summary.index, name="on_front")
    if not {cost, quality} <= set(summary.columns):
        return on_front
    points = summary[[cost, quality]].astype(float) * signs
    ranked = summary[np.isfinite(points).all(axis=1) & (summary["status"] == "ok")]
    for _, group in ranked.groupby(GROUP, sort=False):
        on_front[group.index] = _undominated(points.loc[group.index].to_numpy())
    return on_front


def _undominated(points: np.ndarray) -> np.ndarray:
    """Mask of the rows of `points` (n, 2), larger is better in both, that no row dominates. O(n log n)."""
    mask = np.zeros(len(points), dtype=bool)
    order = np.lexsort((-points[:, 1], -points[:, 0]))  # best first column first, ties by the best second
    best_second, its_first = -np.inf, np.inf
    for row in order:
        first, second = points[row]
        mask[row] = second > best_second or (second == best_second and first == its_first)
        if second > best_second:
            best_second, its_first = second, first
    return mask


def hypervolume(
    rows: pd.DataFrame, frame: pd.DataFrame, cost: str, quality: str, columns: Mapping[str, Column] = KNOWN
) -> float | None:
    """Share of the rectangle from the worst to the best values of `frame` that the points of `rows` dominate, 0 to 1.

    The rectangle is that of all finished rows of `frame`, so that sets of points from it can be compared (Zitzler and
    Thiele, Multiobjective Evolutionary Algorithms, 1999). None where it has no area or `rows` no point.
    """
    signs = np.array([1.0 if find_column(name, columns).higher_is_better else -1.0 for name in (cost, quality)])
    if not {cost, quality} <= set(frame.columns):
        return None
    every, mine = (_finite_points(table, cost, quality) * signs for table in (frame, rows))
    if not len(every) or not len(mine):
        return None
    worst, best = every.min(axis=0), every.max(axis=0)
    if (best <= worst).any():
        return None
    scaled = np.clip((mine - worst) / (best - worst), 0, 1)
    scaled = scaled[_undominated(scaled)]
    scaled = scaled[np.argsort(-scaled[:, 0])]
    area, covered = 0.0, 0.0
    for first, second in scaled:
        area += first * max(second - covered, 0.0)
        covered = max(covered, second)
    return float(area)


def _finite_points(rows: pd.DataFrame, cost: str, quality: str) -> np.ndarray:
    points = rows[rows["status"] == "ok"][[cost, quality]].to_numpy(dtype=float)
    return points[np.isfinite(points).all(axis=1)]
