"""Where decodes spend their time: one row per arm and stage, from the rows of the stages task."""

from __future__ import annotations

import json

import pandas as pd

from bench.analysis import units
from bench.analysis.arms import MACHINE, frames_timed, matmul_rate
from bench.analysis.results import Results

COLUMNS = [
    "run_id", "study", "label", "device_id", "arm", "stage", "seconds", "convolution_s", "share", "flops", "bytes",
    "matmul_flops", "copy_bytes", "roofline",
]  # fmt: skip


def stages(results: Results) -> pd.DataFrame:
    """Median seconds per clip of every stage and of its convolutions, its share of the arm's time, its arithmetic
    (FLOP) and least traffic (bytes) per clip, the machine's rates, and the share of the bound that they leave.
    """
    parts = [_of_run(results.of([run_id])) for run_id in run_ids(results)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def run_ids(results: Results) -> list[str]:
    """The runs whose stages were timed."""
    return list(results.measurements[results.measurements["metric"] == "stage_time_s"]["run_id"].unique())


def _of_run(results: Results) -> pd.DataFrame:
    run, rows = results.runs.iloc[0], results.measurements
    spec = json.loads(run["spec_json"])
    frames = frames_timed(spec)
    machine = rows[rows["arm"] == MACHINE].groupby("metric")["value"].median()
    keyed = rows[rows["stage"].notna()].groupby(["arm", "stage", "metric"], sort=False)["value"].median()
    table = keyed.unstack("metric", sort=False).reset_index()  # arms and stages in the order of the rows
    table = table.rename(columns={"stage_time_s": "seconds", "convolution_time_s": "convolution_s"})
    table["convolution_s"] = table[["convolution_s", "seconds"]].min(axis=1)  # of other passes than the whole
    table["share"] = table["seconds"] / table.groupby("arm")["seconds"].transform("sum")
    table["flops"] = 2 * frames * table["macs_per_frame"]
    table["bytes"] = frames * table["min_bytes_per_frame"]
    table["matmul_flops"] = table["arm"].map(lambda arm: matmul_rate(machine.to_dict(), spec["arms"][arm]))
    table["copy_bytes"] = machine["copy_bytes"]
    bound_s = pd.concat([table["flops"] / table["matmul_flops"], table["bytes"] / table["copy_bytes"]], axis=1).max(
        axis=1
    )
    table["roofline"] = bound_s / table["seconds"]
    told = {name: run[name] for name in ("run_id", "study", "label", "device_id")}
    return table.assign(**told)[COLUMNS]


def render_text(results: Results) -> str:
    """A table per run and arm; empty where no stages were timed."""
    return "\n\n".join(_text(group) for _, group in stages(results).groupby(["run_id", "arm"], sort=False))


def _text(group: pd.DataFrame) -> str:
    first, total = group.iloc[0], group["seconds"].sum()
    convolutions = group["convolution_s"].sum() / total
    title = f"{first['study']} {first['label']}, {first['arm']}: {1e3 * total:.1f} ms, {convolutions:.0%} convolutions"
    lines = [f"{'stage':<8}{'ms':>10}{'share':>8}{'conv':>7}{'GFLOP':>9}{'MB':>9}{'roofline':>10}"]
    for row in group.to_dict("records"):
        conv = row["convolution_s"] / row["seconds"]
        lines.append(
            f"{row['stage']:<8}{1e3 * row['seconds']:>10.2f}{row['share']:>8.1%}{conv:>7.0%}"
            f"{units.number(row['flops'] / 1e9, 2):>9}{units.number(row['bytes'] / 1e6, 1):>9}{row['roofline']:>10.2f}"
        )
    return "\n".join([title, *lines])
