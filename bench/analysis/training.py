"""Training curves as stored: losses and what else was watched, step by step, phase by phase.

`loss_<phase>` and `training_<phase>` rows carry the step in `repeat`, counted through all phases, and the term in
`stage`.
"""

from __future__ import annotations

import json

import pandas as pd

from bench.analysis.results import Results

KINDS = {"loss_": "loss", "training_": "watched"}
WEIGHT = "weight of "
COLUMNS = ["run_id", "label", "study", "kind", "phase", "term", "step", "value"]


def curves(results: Results) -> pd.DataFrame:
    """Every stored point of every curve, `COLUMNS`, in the order of runs and steps; `kind` is `loss` or `watched`."""
    rows = results.measurements
    prefix = rows["metric"].str.extract(rf"^({'|'.join(KINDS)})(.+)$")
    rows = rows.assign(kind=prefix[0].map(KINDS), phase=prefix[1])
    rows = rows[rows["kind"].notna() & rows["repeat"].notna() & rows["value"].notna()]
    names = results.runs[["run_id", "label", "study"]]
    table = rows.merge(names, on="run_id").rename(columns={"stage": "term", "repeat": "step"})
    table = table.assign(term=table["term"].fillna("total"), step=table["step"].astype(int))
    return table.sort_values(["run_id", "phase", "term", "step"], kind="stable")[COLUMNS].reset_index(drop=True)


def budget(summary: pd.DataFrame, quality: str) -> pd.DataFrame:
    """Quality against training steps: columns curve, steps, value, low, high (over runs, lowest and highest), runs.

    Runs that differ in steps and seed only are one curve; a curve has at least two numbers of steps.
    """
    runs = summary[(summary["status"] == "ok") & summary["steps"].notna() & summary[quality].notna()]
    same = ["study", "plan", "ratio", "criterion", "start", "phases", "source", "label_family"]
    runs = runs.assign(label_family=runs["label"].map(_family))
    parts = []
    for _, group in runs.groupby(same, sort=False, dropna=False):
        by_step = group.groupby("steps")[quality].agg(["mean", "min", "max", "size"]).reset_index()
        if len(by_step) > 1:
            by_step.columns = ["steps", "value", "low", "high", "runs"]
            first = group.iloc[0]
            name = f"{first['study']}: {first['label_family']}"
            parts.append(by_step.assign(curve=name, plan=first["plan"]))
    columns = ["curve", "plan", "steps", "value", "low", "high", "runs"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def trained(results: Results) -> list[str]:
    """Ids of the runs whose specification has phases that were trained."""
    found = []
    for run_id, text in zip(results.runs["run_id"], results.runs["spec_json"], strict=True):
        distill = json.loads(text).get("distill")
        if isinstance(distill, dict) and distill.get("phases"):
            found.append(run_id)
    return found


def _family(label: str) -> str:
    """A label without its number of steps and its seed: `random-120 seed=0` is `random`."""
    words = [word for word in str(label).split(" ") if not word.startswith("seed=")]
    head, dash, tail = words[0].rpartition("-") if words else ("", "", "")
    if dash and tail.isdigit():
        words[0] = head
    return " ".join(words)
