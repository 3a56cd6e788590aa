"""One row per run: what was asked, what it cost, how good it is.

A quality number is the mean over clips of the mean over frames; a time is the median of its samples. Columns of the
student carry the plain name (`psnr_source`), those of the teacher measured in the same run the prefix `teacher_`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.bootstrap import SAMPLES_PER_BLOCK, ratios_of_medians
from bench.analysis.columns import KNOWN, columns_of
from bench.analysis.pareto import pareto_front
from bench.analysis.results import Results
from bench.analysis.spec import SPEC_COLUMNS, SPEC_NUMBERS, unpack_spec

RUN_COLUMNS = [
    "run_id", "study", "label", "status", "error", "protocol_id", "device_id", "device_name", "started_at", "wall_s",
]  # fmt: skip
SPEED_COLUMNS = [
    "speedup",
    "speedup_low",
    "speedup_high",
    "decode_time_ms",
    "teacher_decode_time_ms",
    "fps",
    "teacher_fps",
]
_TAKEN = [*RUN_COLUMNS, *SPEC_COLUMNS, *SPEED_COLUMNS, "unavailable", "clips", "clips_failed", "on_front"]
_KEYS = ("run_id", "arm", "metric", "against", "clip")
RENAMED = {"peak_memory_bytes": ("peak_memory_mb", 1e-6)}  # stored metric -> summary column, factor


def summarise(results: Results) -> pd.DataFrame:
    """One row per run, failed ones included, with run, specification, speed, quality, cost and front columns.

    `unavailable` is a JSON object {metric: reason} of what a run could not measure; `clips` and `clips_failed` count
    the judged and the unreadable clips. `on_front` is for speed-up and PSNR against source, per device and protocol.
    """
    runs = results.runs.sort_values(["study", "started_at", "run_id"]).set_index("run_id", drop=False)
    spec = pd.DataFrame([unpack_spec(text) for text in runs["spec_json"]], index=runs.index, columns=list(SPEC_COLUMNS))
    spec = spec.astype(dict.fromkeys(SPEC_NUMBERS, float))
    finished = runs.index[runs["status"] == "ok"]
    rows = results.measurements[results.measurements["run_id"].isin(finished)]
    rows = rows.astype(dict.fromkeys(_KEYS, "category"))  # thousands of runs are grouped by them
    measured = (_speed(rows, spec["timed_frames"]), _values(rows), _unavailable(rows), _clip_counts(rows))
    summary = pd.concat([runs[RUN_COLUMNS], spec, *(part.reindex(runs.index) for part in measured)], axis=1)
    summary = summary.reset_index(drop=True)
    summary["on_front"] = pareto_front(summary, columns={**KNOWN, **columns_of(results)})
    return summary


def _speed(rows: pd.DataFrame, frames_by_run: pd.Series) -> pd.DataFrame:
    """Speed columns, indexed by run_id; a run without timings has no row. The ratio takes the samples of both arms."""
    pair = rows["arm"].isin(["student", "teacher"])
    times = rows[(rows["metric"] == "decode_time_s") & pair & rows["value"].notna() & rows["repeat"].notna()]
    times = times[["run_id", "arm", "repeat", "value"]].astype({"run_id": str, "arm": str, "repeat": "int64"})
    table = times.drop_duplicates(["run_id", "arm", "repeat"]).pivot(
        index=["run_id", "repeat"], columns="arm", values="value"
    )
    table = table.reindex(columns=["student", "teacher"])
    seconds = table.groupby("run_id").median()
    frames = frames_by_run.reindex(seconds.index)
    found = _speed_ups(table.dropna().reset_index()).reindex(seconds.index)
    found["decode_time_ms"], found["teacher_decode_time_ms"] = 1e3 * seconds["student"], 1e3 * seconds["teacher"]
    found["fps"], found["teacher_fps"] = frames / seconds["student"], frames / seconds["teacher"]
    return found[SPEED_COLUMNS]


def _speed_ups(both: pd.DataFrame) -> pd.DataFrame:
    """Speed-up, low and high, indexed by run_id, from columns run_id, repeat, student, teacher; runs timed alike at
    once."""
    alike: dict[tuple[int, ...], list[tuple[str, np.ndarray, np.ndarray]]] = {}
    for run_id, group in _by_run(both):
        repeat, student, teacher = group
        alike.setdefault(tuple(repeat // SAMPLES_PER_BLOCK), []).append((run_id, student, teacher))
    index, values = [], []
    for block, members in alike.items():
        index += [run_id for run_id, _, _ in members]
        teachers, students = (np.stack([member[arm] for member in members]) for arm in (2, 1))
        values.append(ratios_of_medians(teachers, students, np.array(block)))
    stacked = np.concatenate(values) if values else np.empty((0, 3))
    return pd.DataFrame(stacked, index=index, columns=SPEED_COLUMNS[:3])


def _by_run(both: pd.DataFrame) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """(run_id, (repeat, student, teacher)) of a frame in the order of run ids."""
    names, starts = np.unique(both["run_id"].to_numpy(dtype=object), return_index=True)
    columns = [both[name].to_numpy() for name in ("repeat", "student", "teacher")]
    for name, start, stop in zip(names, starts, np.append(starts[1:], len(both))[: len(names)], strict=True):
        repeat, student, teacher = (column[start:stop] for column in columns)
        yield str(name), (repeat, student, teacher)


def _values(rows: pd.DataFrame) -> pd.DataFrame:
    """Every other metric of a whole decoder as a column, indexed by run_id; stages, losses and gaps are left out."""
    kept = ~_gaps(rows) & rows["stage"].isna() & rows["arm"].isin(["student", "teacher"]) & (
        rows["metric"] != "decode_time_s"
    )  # fmt: skip
    rows = rows[kept]
    if rows.empty:
        return pd.DataFrame()
    names = rows[["arm", "metric", "against"]].drop_duplicates()
    rows = rows.merge(names.assign(column=_column_names(names)), on=["arm", "metric", "against"])
    rows = rows.assign(value=rows["value"] * _factors(rows["metric"]), column=rows["column"].astype("category"))
    judged = rows["clip"].notna()
    per_clip = _mean(rows[judged].groupby(["run_id", "column", "clip"], observed=True)["value"])
    columns = pd.concat(
        [
            _mean(per_clip.groupby(["run_id", "column"], observed=True)),
            rows[~judged].groupby(["run_id", "column"], observed=True)["value"].median(),
        ]
    )
    wide = columns.reset_index().astype({"run_id": str, "column": str}).pivot_table(
        index="run_id", columns="column", values="value", aggfunc="first", dropna=False
    )  # fmt: skip
    return wide.drop(columns=_TAKEN, errors="ignore")


def _factors(metric: pd.Series) -> pd.Series:
    return metric.map({name: factor for name, (_, factor) in RENAMED.items()}).astype(float).fillna(1.0)


def _mean(groups: Any) -> pd.Series:
    """Mean of each group; one NaN makes it NaN, so that a broken frame is seen and not averaged away."""
    return groups.mean().where(groups.count() == groups.size())


def _column_names(rows: pd.DataFrame) -> pd.Series:
    """`<metric>[_<against>]` for each row of the student, with the arm in front for any other arm."""
    arm, stored, against = (rows[name].astype(object) for name in ("arm", "metric", "against"))
    metric = stored.map({name: column for name, (column, _) in RENAMED.items()}).fillna(stored)
    against = against.map(lambda name: "" if pd.isna(name) else f"_{name}")
    return (arm + "_").where(arm != "student", "") + metric + against


def _gaps(rows: pd.DataFrame) -> pd.Series:
    """Rows that say why there is no number; a NaN that was measured carries no note and is not a gap."""
    return rows["value"].isna() & rows["note"].notna()


def _unavailable(rows: pd.DataFrame) -> pd.DataFrame:
    """Per run, as JSON, the metrics without any value and the first reason given."""
    gaps = _gaps(rows)
    missing = rows[gaps][["run_id", "metric", "note"]].astype(object).drop_duplicates(["run_id", "metric"])
    touched = rows[~gaps & rows["run_id"].isin(missing["run_id"].unique())]
    measured = set(touched[["run_id", "metric"]].drop_duplicates().itertuples(index=False, name=None))
    found: dict[str, dict[str, str]] = {}
    for run_id, metric, note in missing.itertuples(index=False, name=None):
        if (run_id, metric) not in measured:
            found.setdefault(run_id, {}).setdefault(metric, note)
    return pd.DataFrame(
        {"unavailable": pd.Series({run: json.dumps(reasons) for run, reasons in found.items()}, dtype=str)}
    )


def _clip_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """How many clips were judged in each run, and how many gave no number at all."""
    judged = rows[rows["clip"].notna()]
    has_value = (~_gaps(judged)).groupby([judged["run_id"], judged["clip"]], observed=True).any()
    counts = {"clips": has_value, "clips_failed": ~has_value}
    return pd.DataFrame({name: flags.groupby("run_id", observed=True).sum() for name, flags in counts.items()})
