"""Quality frame by frame: traces along a clip, and the worst frames first."""

from __future__ import annotations

import pandas as pd

from bench.analysis.results import Results

COLUMNS = ["run_id", "label", "arm", "against", "metric", "unit", "higher_is_better", "clip", "frame", "value"]


def per_frame(results: Results) -> pd.DataFrame:
    """Every number that belongs to one frame of one clip, `COLUMNS`."""
    rows = results.measurements
    rows = rows[rows["frame"].notna() & rows["clip"].notna() & rows["value"].notna()]
    table = rows.merge(results.runs[["run_id", "label"]], on="run_id")
    table = table.assign(frame=table["frame"].astype(int), against=table["against"].fillna(""))
    return table[COLUMNS].reset_index(drop=True)


def worst_frames(table: pd.DataFrame, metric: str, against: str, count: int = 50) -> pd.DataFrame:
    """The student's worst frames of `per_frame` in one metric: columns label, clip, frame, value, teacher and gap.

    `teacher` is the teacher's own number for that frame, NaN where there is none; `gap` is value minus teacher.
    """
    rows = table[(table["metric"] == metric) & (table["against"] == against)]
    keys = ["run_id", "clip", "frame"]
    student = rows[rows["arm"] == "student"].drop_duplicates(keys)
    teacher = rows[rows["arm"] == "teacher"].drop_duplicates(keys).set_index(keys)["value"].rename("teacher")
    found = student.join(teacher, on=keys)
    found["gap"] = found["value"] - found["teacher"]
    higher = bool(rows["higher_is_better"].iloc[0]) if len(rows) else True
    found = found.sort_values("value", ascending=higher, kind="stable").head(count)
    return found[["run_id", "label", "clip", "frame", "value", "teacher", "gap"]].reset_index(drop=True)
