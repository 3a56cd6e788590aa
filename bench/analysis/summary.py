"""One row per run: what was asked, what it cost, how good it is.

A quality number is the mean over clips of the mean over frames; a time is the median of its samples. Columns of the
student carry the plain name (`psnr_source`), those of the teacher measured in the same run the prefix `teacher_`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.analysis.bootstrap import SAMPLES_PER_BLOCK, ratio_of_medians
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
    measured = (_speed(rows, spec["timed_frames"].to_dict()), _values(rows), _unavailable(rows), _clip_counts(rows))
    summary = pd.concat([runs[RUN_COLUMNS], spec, *(part.reindex(runs.index) for part in measured)], axis=1)
    summary = summary.reset_index(drop=True)
    summary["on_front"] = pareto_front(summary, columns={**KNOWN, **columns_of(results)})
    return summary


def _speed(rows: pd.DataFrame, frames_by_run: Mapping[str, float]) -> pd.DataFrame:
    """Speed columns, indexed by run_id; a run without timings has no row."""
    pair = rows["arm"].isin(["student", "teacher"])
    times = rows[(rows["metric"] == "decode_time_s") & pair & rows["value"].notna() & rows["repeat"].notna()]
    found = {run_id: _speed_of(group, frames_by_run[run_id]) for run_id, group in times.groupby("run_id")}
    return pd.DataFrame.from_dict(found, orient="index", columns=SPEED_COLUMNS)


def _speed_of(times: pd.DataFrame, frames: float) -> list[float]:
    """The numbers of `SPEED_COLUMNS` from one run's timing rows; the ratio takes the samples that both arms have."""
    times = times.drop_duplicates(["arm", "repeat"])
    arms = {arm: times[times["arm"] == arm].set_index("repeat")["value"] for arm in ("student", "teacher")}
    both = arms["student"].index.intersection(arms["teacher"].index)
    student, teacher = (arms[arm].loc[both].to_numpy(dtype=float) for arm in ("student", "teacher"))
    ratio = ratio_of_medians(teacher, student, both.to_numpy(dtype=int) // SAMPLES_PER_BLOCK)
    student_s, teacher_s = float(arms["student"].median()), float(arms["teacher"].median())
    return [
        ratio.value,
        ratio.low,
        ratio.high,
        student_s * 1e3,
        teacher_s * 1e3,
        frames / student_s,
        frames / teacher_s,
    ]


def _values(rows: pd.DataFrame) -> pd.DataFrame:
    """Every other metric of a whole decoder as a column, indexed by run_id; stages, losses and gaps are left out."""
    kept = ~_gaps(rows) & rows["stage"].isna() & ~rows["metric"].str.startswith("loss_")
    rows = rows[kept & (rows["metric"] != "decode_time_s")]
    if rows.empty:
        return pd.DataFrame()
    keys = pd.DataFrame({"run_id": rows["run_id"], "column": _column_names(rows)})
    value = rows["value"] * rows["metric"].map({name: factor for name, (_, factor) in RENAMED.items()}).fillna(1.0)
    judged = rows["clip"].notna()
    per_clip = value[judged].groupby([keys["run_id"][judged], keys["column"][judged], rows["clip"][judged]])
    columns = pd.concat(
        [
            _mean(_mean(per_clip).groupby(["run_id", "column"])),
            value[~judged].groupby([keys["run_id"][~judged], keys["column"][~judged]]).median(),
        ]
    )
    return columns.unstack("column").drop(columns=_TAKEN, errors="ignore")


def _mean(groups: Any) -> pd.Series:
    """Mean of each group; one NaN makes it NaN, so that a broken frame is seen and not averaged away."""
    return groups.mean().where(groups.count() == groups.size())


def _column_names(rows: pd.DataFrame) -> pd.Series:
    """`<metric>[_<against>]` for each row of the student, with the arm in front for any other arm."""
    metric = rows["metric"].map({name: column for name, (column, _) in RENAMED.items()}).fillna(rows["metric"])
    against = ("_" + rows["against"]).fillna("")
    return (rows["arm"] + "_").where(rows["arm"] != "student", "") + metric + against


def _gaps(rows: pd.DataFrame) -> pd.Series:
    """Rows that say why there is no number; a NaN that was measured carries no note and is not a gap."""
    return rows["value"].isna() & rows["note"].notna()


def _unavailable(rows: pd.DataFrame) -> pd.DataFrame:
    """Per run, as JSON, the metrics without any value and the first reason given."""
    gaps = _gaps(rows)
    measured = set(rows[~gaps][["run_id", "metric"]].itertuples(index=False, name=None))
    found: dict[str, dict[str, str]] = {}
    for run_id, metric, note in rows[gaps][["run_id", "metric", "note"]].itertuples(index=False, name=None):
        if (run_id, metric) not in measured:
            found.setdefault(run_id, {}).setdefault(metric, note)
    return pd.DataFrame(
        {"unavailable": pd.Series({run: json.dumps(reasons) for run, reasons in found.items()}, dtype=str)}
    )


def _clip_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """How many clips were judged in each run, and how many gave no number at all."""
    judged = rows[rows["clip"].notna()]
    has_value = (~_gaps(judged)).groupby([judged["run_id"], judged["clip"]]).any()
    counts = {"clips": has_value, "clips_failed": ~has_value}
    return pd.DataFrame({name: flags.groupby("run_id").sum() for name, flags in counts.items()})
