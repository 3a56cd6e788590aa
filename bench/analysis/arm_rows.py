"""Arms of comparisons as rows of the summary, so that teacher and peers can stand in the same picture as runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from bench.analysis import end_to_end, vbench2
from bench.analysis.arms import compare
from bench.analysis.results import Results
from bench.analysis.spec import dig
from bench.analysis.summary import RENAMED, RUN_COLUMNS

COSTS = ("parameters", "macs_per_frame", "first_frame_s", "energy_per_frame_j", "state_bytes", "min_bytes_per_frame")


def arm_rows(results: Results) -> pd.DataFrame:
    """One row per run and arm of the runs that compare arms or generate with them, with the summary's columns as far as
    an arm has them.

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
    return pd.DataFrame([*found.values(), *_generated(results)])


def _generated(results: Results) -> Iterator[dict[str, Any]]:
    """The arms of generated videos: the whole's time, quality against the baseline, and VBench-2.0's scores of the same
    videos, where they are stored and say so.
    """
    table = end_to_end.table(results)
    runs = results.of(set(table["run_id"])).runs.set_index("run_id", drop=False)
    scores = _scores_by_videos(results)
    for one in table.to_dict("records"):
        run = runs.loc[one["run_id"]].to_dict()
        spec, arm = json.loads(run["spec_json"]), str(one["arm"])
        seconds, base = one["decode_s"], next(iter(table[table["run_id"] == one["run_id"]]["arm"]))
        told = dig(spec, "arms", arm) or {}
        yield {name: run[name] for name in RUN_COLUMNS} | {
            "label": arm, "plan": str(told.get("decoder", arm)).rstrip("/").rpartition("/")[2] or arm,
            "stages": f"in {one['host']}", "kind": "baseline" if arm == base else "arm",
            "runtime": dig(told, "runtime", "name"), "dtype": dig(told, "runtime", "dtype"),
            "decode_time_ms": 1e3 * seconds if seconds else None,
            "fps": one["frames"] / seconds if seconds and one["frames"] else None,
            "end_to_end_s": one["end_to_end_s"], "end_to_end_speedup": one["speedup"],
            "peak_memory_mb": one["peak_memory_bytes"] and 1e-6 * one["peak_memory_bytes"],
            "first_frame_s": one["first_frame_s"], "accepted": one["accepted"],
            **{f"{name}_{base}": one[name] for name in end_to_end.QUALITY},
            **scores.get((one["run_id"], arm), {}),
        }  # fmt: skip


def _scores_by_videos(results: Results) -> dict[tuple[str, str], dict[str, float]]:
    """Total and categories by the run that generated the videos and the arm."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for run in results.of(results.finished(vbench2.TASK)).runs.to_dict("records"):
        videos = dig(json.loads(run["spec_json"]), "vbench2", "videos")
        if videos is not None:
            table = vbench2.of_run(results, run["run_id"])
            for row in table[(table["level"] != "dimension") & table["score"].notna()].to_dict("records"):
                found.setdefault((str(videos), str(row["arm"])), {})[f"{vbench2.PREFIX}{row['name']}"] = row["score"]
    return found


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
