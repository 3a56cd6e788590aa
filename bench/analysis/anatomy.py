"""A decoder stage by stage: operator, width, arithmetic, bytes and, where it was timed, seconds.

Counted costs are stored by every run (`macs_per_frame`, `parameters`, `min_bytes_per_frame` with a stage); seconds only
by the stages task.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from bench.analysis.results import Results
from bench.analysis.spec import dig
from bench.analysis.stages import stages

COUNTED = ("parameters", "macs_per_frame", "min_bytes_per_frame")
COLUMNS = [
    "run_id", "label", "arm", "decoder", "stage", "operator", "width", *COUNTED, "seconds", "convolution_share",
    "roofline",
]  # fmt: skip


def anatomy(results: Results) -> pd.DataFrame:
    """One row per run, arm and stage, in the decoder's order. Numbers that were not measured are NaN.

    `operator` and `width` are the plan's words for the student's stage (`conv2d`, `0.25 of the channels`); of an arm
    only the decoder's name is stored.
    """
    parts = [_of_run(run, results) for run in results.runs.to_dict("records")]
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def has_stages(results: Results) -> list[str]:
    """Ids of the runs that store numbers by stage."""
    rows = results.measurements
    return list(rows[rows["stage"].notna() & rows["metric"].isin(COUNTED)]["run_id"].unique())


def _of_run(run: dict, results: Results) -> pd.DataFrame:
    rows = results.measurements
    rows = rows[(rows["run_id"] == run["run_id"]) & rows["stage"].notna()]
    counted = rows[rows["metric"].isin(COUNTED)]
    if counted.empty:
        return pd.DataFrame()
    table = counted.groupby(["arm", "stage", "metric"], sort=False)["value"].median().unstack("metric")
    order = rows[["arm", "stage"]].drop_duplicates()
    table = order.merge(table.reset_index(), on=["arm", "stage"]).reindex(columns=["arm", "stage", *COUNTED])
    spec = json.loads(run["spec_json"])
    words = [_words(spec, arm, stage) for arm, stage in zip(table["arm"], table["stage"], strict=True)]
    table["operator"], table["width"] = ([word[i] for word in words] for i in (0, 1))
    table = table.assign(run_id=run["run_id"], label=run["label"])
    table["decoder"] = [str(dig(spec, "arms", arm, "decoder") or "") for arm in table["arm"]]
    return table.merge(_timed(results.of([run["run_id"]])), on=["arm", "stage"], how="left")


def _timed(results: Results) -> pd.DataFrame:
    found = stages(results)
    if found.empty:
        return pd.DataFrame(columns=["arm", "stage", "seconds", "convolution_share", "roofline"], dtype=object)
    found = found.assign(convolution_share=found["convolution_s"] / found["seconds"])
    return found[["arm", "stage", "seconds", "convolution_share", "roofline"]]


def _words(spec: Any, arm: str, stage: str) -> tuple[str, str]:
    if dig(spec, "arms", arm) is not None:
        return "", ""
    edit = dig(spec, "plan", stage) if arm == "student" else None
    operator = dig(edit, "operator") or "as the teacher's"
    if dig(edit, "channels") is not None:
        return str(operator), f"{dig(edit, 'channels')} channels"
    if dig(edit, "prune") and dig(spec, "prune", "ratio") not in (None, 1, 1.0):
        return str(operator), f"{dig(spec, 'prune', 'ratio')} of the channels"
    return str(operator), ""
