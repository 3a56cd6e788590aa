"""VBench-2.0: from the values of single videos to dimensions, categories, a total, and paired differences of arms.

A dimension is the mean of its valid videos, a category the plain mean of its dimensions, the total the mean of the
categories (`scripts/cal_final_score.py` of VBench-2.0). There is no category without all of its dimensions and no total
without all 18 on the official list. A difference is taken prompt by prompt, over the videos that are valid in both
arms, with an interval from drawing prompts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bench.analysis import units
from bench.analysis.bootstrap import Interval, mean_of_means
from bench.analysis.results import Results

TASK = "vbench2"
PREFIX = "vbench2_"  # of the metric of a dimension
COLUMNS = (
    "arm", "level", "name", "score", "present", "of", "videos", "invalid", "delta", "low", "high", "prompts",
    "left_out",
)  # fmt: skip
ZERO_WHEN_INVALID = {"Motion_Order_Understanding": 0.9}  # VBench's own: 0 when more than this share is invalid

Categories = Mapping[str, Sequence[str]]


def compare(rows: pd.DataFrame, categories: Categories, control: str | None, complete: bool) -> pd.DataFrame:
    """One row per arm and per dimension, category and total (`level`), the control's first.

    rows: measurements with arm, clip, metric and value (NaN: invalid). categories: {category: its dimensions}.
    complete: whether the videos are those of the official list. Scores are from 0 to 1. `present` of `of` dimensions
    have a score; `videos` and `invalid` count values; `delta` is arm minus control, `low` and `high` its 95 % interval,
    `prompts` how many prompts it is the mean of, `left_out` how many videos were invalid in one of the two or are not
    in both. NaN where there is nothing. `ValueError` for an unknown control.
    """
    arms = list(rows["arm"].drop_duplicates())
    if control is not None and control not in arms:
        raise ValueError(f"no arm {control!r} to compare with; arms: {', '.join(map(str, arms)) or 'none'}")
    arms.sort(key=lambda arm: arm != control)
    found = []
    for arm in arms:
        scores = _scores(rows[rows["arm"] == arm], categories)
        pairs = {} if control is None or arm == control else _pairs(rows, categories, control, arm)
        totals = []
        for category, dimensions in categories.items():
            for name in dimensions:
                found.append(_row(arm, "dimension", name, scores, pairs, [name]))
            found.append(_row(arm, "category", category, scores, pairs, dimensions))
            totals.append(found[-1]["score"])
        whole = _row(arm, "total", "total", scores, {}, [name for names in categories.values() for name in names])
        found.append(whole | {"score": float(np.mean(totals)) if complete and totals else math.nan})
    return pd.DataFrame(found, columns=list(COLUMNS))


def differences(rows: pd.DataFrame, metric: str, control: str, arm: str) -> tuple[pd.Series, int]:
    """(arm minus control by prompt, videos left out) of one metric.

    A prompt's number is the mean over its videos that both arms have a value for; prompts without one are absent.
    """
    of_metric = rows[(rows["metric"] == metric) & rows["arm"].isin([control, arm])]
    wide = of_metric.pivot(index="clip", columns="arm", values="value").reindex(columns=[control, arm]).astype(float)
    both = wide.dropna()
    gaps = both[arm] - both[control]
    return gaps.groupby(gaps.index.map(prompt_of)).mean(), len(wide) - len(both)


def prompt_of(clip: str) -> str:
    """What the videos of one prompt share: the name without `-index.mp4`."""
    return clip.rsplit("-", 1)[0]


def of_run(results: Results, run_id: str) -> pd.DataFrame:
    """`compare` of one stored run."""
    spec = json.loads(results.runs[results.runs["run_id"] == run_id]["spec_json"].iloc[0])["vbench2"]
    rows = results.measurements[results.measurements["run_id"] == run_id]
    return compare(rows, spec["categories"], spec["control"], spec["complete"])


def tables(results: Results) -> pd.DataFrame:
    """`compare` of every stored run, one below the other, with its `run_id` and `label`; `against` is its control."""
    found = []
    for run in results.of(results.finished(TASK)).runs.to_dict("records"):
        told = {
            "run_id": run["run_id"],
            "label": run["label"],
            "against": json.loads(run["spec_json"])["vbench2"]["control"],
        }
        found.append(of_run(results, run["run_id"]).assign(**told))
    return (
        pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["run_id", "label", "against", *COLUMNS])
    )


def render_text(results: Results) -> str:
    """The stored scores as tables, one per run; empty where there is none."""
    parts = []
    for run in results.of(results.finished(TASK)).runs.to_dict("records"):
        spec = json.loads(run["spec_json"])["vbench2"]
        parts.append(f"{run['study']} {run['label']}\n\n{text(of_run(results, run['run_id']), spec['complete'])}")
    return "\n\n".join(parts)


def text(table: pd.DataFrame, complete: bool) -> str:
    """A table of `compare` for the terminal: scores in per cent, an arm's differences beside them.

    What no arm has a value for is not shown.
    """
    arms = list(table["arm"].drop_duplicates())
    by_arm = {arm: table[table["arm"] == arm].reset_index(drop=True) for arm in arms}
    headings, against = ["", arms[0]], [arm for arm in arms if by_arm[arm]["prompts"].notna().any()]
    for arm in arms[1:]:
        headings += [arm, *([f"minus {arms[0]} [95 %]", "prompts", "left out"] if arm in against else [])]
    lines = [headings]
    for index, first in by_arm[arms[0]].iterrows():
        if not any(by_arm[arm].loc[index]["videos"] for arm in arms):
            continue
        line = [f"{'  ' if first['level'] == 'dimension' else ''}{first['name']}"]
        for arm in arms:
            row = by_arm[arm].loc[index]
            line.append(_per_cent(row["score"]))
            if arm in against:
                line += [_difference(row), _count(row["prompts"]), _count(row["left_out"])]
        lines.append(line)
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    body = [
        "  ".join(cell.rjust(width) if i else cell.ljust(width)
                  for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    ]  # fmt: skip
    return "\n".join([*body, "", *_notes(by_arm, complete)])


def _notes(by_arm: dict[str, pd.DataFrame], complete: bool) -> list[str]:
    notes = [] if complete else ["a subset of the official list: not leaderboard scores"]
    for arm, table in by_arm.items():
        whole = table.iloc[-1]
        if math.isnan(whole["score"]):
            notes.append(f"{arm}: {whole['present']} of {whole['of']} dimensions, no total")
        for row in table[(table["level"] == "dimension") & (table["invalid"] > 0)].to_dict("records"):
            valid = "no valid video" if row["invalid"] == row["videos"] else f"{row['invalid']} invalid"
            notes.append(f"{arm}, {row['name']}: {valid} of {row['videos']}")
    return notes


def _scores(rows: pd.DataFrame, categories: Categories) -> dict[str, tuple[float, int, int]]:
    """{dimension: (score, values, of them invalid)} of one arm; a dimension without rows is absent."""
    found = {}
    for name in (name for names in categories.values() for name in names):
        values = rows[rows["metric"] == PREFIX + name]["value"].astype(float)
        invalid = int(values.isna().sum())
        if len(values):
            zero = invalid > ZERO_WHEN_INVALID.get(name, 1.0) * len(values)
            found[name] = (0.0 if zero else float(values.mean()), len(values), invalid)
    return found


def _pairs(rows: pd.DataFrame, categories: Categories, control: str, arm: str) -> dict[str, tuple[pd.Series, int]]:
    names = [name for names in categories.values() for name in names]
    return {name: differences(rows, PREFIX + name, control, arm) for name in names}


def _row(arm: str, level: str, name: str, scores: dict[str, tuple[float, int, int]],
         pairs: dict[str, tuple[pd.Series, int]], dimensions: Sequence[str]) -> dict:  # fmt: skip
    """One row of the table; the score and the difference of several dimensions need all of them."""
    known = [scores[key] for key in dimensions if key in scores]
    present = sum(not math.isnan(score) for score, _, _ in known)
    score = float(np.mean([score for score, _, _ in known])) if present == len(dimensions) else math.nan
    row = {
        "arm": arm, "level": level, "name": name, "score": score, "present": present, "of": len(dimensions),
        "videos": sum(videos for _, videos, _ in known), "invalid": sum(invalid for _, _, invalid in known),
        "delta": math.nan, "low": math.nan, "high": math.nan, "prompts": math.nan, "left_out": math.nan,
    }  # fmt: skip
    if pairs and any(len(pairs[key][0]) or pairs[key][1] for key in dimensions):
        matrix = pd.concat([pairs[key][0] for key in dimensions], axis=1).to_numpy(dtype=float)
        delta: Interval = mean_of_means(matrix)
        row |= {"delta": delta.value, "low": delta.low, "high": delta.high, "prompts": len(matrix)}
        row |= {"left_out": sum(pairs[key][1] for key in dimensions)}
    return row


def _per_cent(value: float) -> str:
    return units.NOTHING if math.isnan(value) else f"{100 * value:.2f}"


def _difference(row: pd.Series) -> str:
    if math.isnan(row["delta"]):
        return units.NOTHING
    bounds = "" if math.isnan(row["low"]) else f" [{100 * row['low']:+.2f}, {100 * row['high']:+.2f}]"
    return f"{100 * row['delta']:+.2f}{bounds}"


def _count(value: float) -> str:
    return units.NOTHING if math.isnan(value) else f"{value:.0f}"
