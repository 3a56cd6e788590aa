"""Arms of comparisons as rows of the summary, so that teacher and peers can stand in the same picture as runs."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from bench.analysis.arms import compare
from bench.analysis.results import Results
from bench.analysis.spec import dig
from bench.analysis.summary import RENAMED, RUN_COLUMNS

COSTS = ("parameters", "macs_per_frame", "first_frame_s", "energy_per_frame_j", "state_bytes", "min_bytes_per_frame")


def arm_rows(results: Results) -> pd.DataFrame:
    """One row per run and arm of the runs that compare arms, with the summary's columns as far as an arm has them.

    `label` is the arm, `plan` its decoder, `kind` is `baseline` for the first arm and `arm` for the others. `speedup`
    is filled only where the baseline is a teacher, since that is what the column means. `accepted` is 0 where the run
    itself says that the times may not be quoted.
    """
    arms = results.of(results.finished("speed"))
    text = list(arms.measurements.select_dtypes("string"))
    arms = Results(arms.runs, arms.measurements.astype(dict.fromkeys(text, object)))  # compared often, one by one
    compared = compare(arms).set_index(["run_id", "arm"])
    rows = arms.measurements[arms.measurements["stage"].isna() & arms.measurements["value"].notna()]
    costs = rows[rows["metric"].isin([*COSTS, *RENAMED])].groupby(["run_id", "arm", "metric"])["value"].median()
    judged = rows[rows["against"].notna()]
    per_clip = judged.groupby(["run_id", "arm", "metric", "against", "clip"], dropna=False)["value"].mean()
    quality = per_clip.groupby(["run_id", "arm", "metric", "against"]).mean()
    runs = arms.runs.set_index("run_id", drop=False)
    specs = {run_id: json.loads(text) for run_id, text in runs["spec_json"].items()}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for (run_id, arm), one in compared.iterrows():
        found[run_id, arm] = _row(runs.loc[run_id].to_dict(), specs[run_id], str(arm), one.to_dict())
    for (run_id, arm, metric), value in costs.items():
        name, factor = RENAMED.get(metric, (metric, 1.0))
        found.get((run_id, arm), {})[name] = value * factor
    for (run_id, arm, metric, against), value in quality.items():
        found.get((run_id, arm), {})[f"{metric}_{against}"] = value
    return pd.DataFrame(list(found.values()))


def _row(run: dict, spec: dict, arm: str, one: dict) -> dict[str, Any]:
    baseline, told = spec.get("baseline"), dig(spec, "arms", arm) or {}
    row = {name: run[name] for name in RUN_COLUMNS} | {
        "label": arm, "plan": str(told.get("decoder", arm)).rstrip("/").rpartition("/")[2] or arm,
        "stages": f"program {told.get('program', 'unknown')}", "kind": "baseline" if arm == baseline else "arm",
        "runtime": dig(told, "runtime", "name"), "dtype": dig(told, "runtime", "dtype"),
        "decode_time_ms": 1e3 * one["decode_s"] if one["decode_s"] else None, "fps": one["fps"],
        "accepted": one["accepted"],
    }  # fmt: skip
    if str(baseline).startswith("teacher"):
        row |= {"speedup": one["ratio"], "speedup_low": one["ratio_low"], "speedup_high": one["ratio_high"]}
    return row
