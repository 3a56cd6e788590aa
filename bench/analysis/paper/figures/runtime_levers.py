"""The levers of the runtime: each by itself, and a waterfall from none of them to all of them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis import arms
from bench.analysis.paper import latex, style
from bench.analysis.paper.base import Material, PaperFigure
from bench.analysis.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("runtime_levers",)


def numbers(material: Material) -> pd.DataFrame:
    """One row per arm: `ms` per decode, `ratio` (times as fast as the baseline) with its 95 % interval, the levers that
    it pulls, and its place in the waterfall (`step`, missing for arms beside it): each step pulls all levers of the one
    before. `gain` is its ratio to that one, with an interval.
    """
    results = material.of(STUDIES)
    table = arms.compare(results)
    parts = [_of_run(results.of([run_id]), rows) for run_id, rows in table.groupby("run_id", sort=False)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _of_run(results: Results, rows: pd.DataFrame) -> pd.DataFrame:
    asked = json.loads(results.runs["spec_json"].iloc[0])["arms"]
    pulled = {arm: levers(asked[arm].get("runtime") or {}) for arm in rows["arm"]}
    steps = waterfall(list(rows["arm"]), pulled)
    found = pd.DataFrame({
        "run_id": rows["run_id"], "device": results.runs["device_name"].iloc[0], "arm": rows["arm"],
        "levers": [", ".join(sorted(pulled[arm])) or "none" for arm in rows["arm"]], "ms": 1e3 * rows["decode_s"],
        "ratio": rows["ratio"], "ratio_low": rows["ratio_low"], "ratio_high": rows["ratio_high"],
        "psnr": rows["psnr"], "peak_memory_mb": rows["peak_memory_bytes"].astype(float) / 1e6,
        "accepted": rows["accepted"],
        "step": [float(steps.index(arm)) if arm in steps else None for arm in rows["arm"]],
    })  # fmt: skip
    for before, arm in pairwise(steps):
        gain = arms.ratio(results, str(rows["run_id"].iloc[0]), before, arm)
        found.loc[found["arm"] == arm, ["gain", "gain_low", "gain_high"]] = [gain.value, gain.low, gain.high]
    return found


def levers(runtime: dict[str, Any]) -> frozenset[str]:
    """What a runtime asks for beyond plain PyTorch: each rewrite, memory layout, compiling, dtype and chunk."""
    found = {str(name) for name in runtime.get("rewrites") or ()}
    found |= {name.replace("_", " ") for name in ("channels_last", "cuda_graph") if runtime.get(name)}
    if runtime.get("compile") not in (None, False, "off", "none"):
        found.add("compiled")
    if runtime.get("dtype", "float32") != "float32":
        found.add(str(runtime["dtype"]))
    if runtime.get("chunk"):
        found.add(f"chunk {runtime['chunk']}")
    return frozenset(found)


def waterfall(names: list[str], pulled: dict[str, frozenset[str]]) -> list[str]:
    """The longest row of arms from the first in which every arm pulls all levers of the one before and more; of rows
    of equal length, the one whose last arm pulls most.
    """
    best: dict[str, list[str]] = {names[0]: [names[0]]}
    for name in sorted(names[1:], key=lambda name: len(pulled[name])):
        rows = [row for last, row in best.items() if pulled[last] < pulled[name]]
        if rows:
            best[name] = [*max(rows, key=len), name]
    return max(best.values(), key=lambda row: (len(row), len(pulled[row[-1]])))


def draw(frame: pd.DataFrame, width: float) -> Figure:
    runs = list(frame.groupby("run_id", sort=False))
    figure, axes = style.sheet(width, 0.5 + 0.19 * len(frame) + 0.3 * len(runs), len(runs))
    for ax, (_, rows) in zip(axes[:, 0], runs, strict=True):
        steps = rows[rows["step"].notna()].sort_values("step")
        beside = rows[rows["step"].isna()].sort_values("ms", ascending=False)
        ordered = pd.concat([beside, steps]).iloc[::-1].reset_index(drop=True)
        for place, row in ordered.iterrows():
            _bar(ax, float(place), row, steps)  # type: ignore[arg-type]
        ax.axhline(len(steps) - 0.5, color=style.GREY, linewidth=0.6, linestyle=":")
        ax.set_yticks(ordered.index, [style.plain(arm, 18) for arm in ordered["arm"]])
        ax.set_xlim(0, 1.45 * rows["ms"].max())
        ax.set_ylim(-0.6, len(ordered) - 0.4)
        ax.set_xlabel("time of a decode (ms)")
        ax.set_title(style.plain(rows["device"].iloc[0]), loc="left")
        ax.grid(axis="y", visible=False)
    return figure


def _bar(ax: Any, place: float, row: pd.Series, steps: pd.DataFrame) -> None:
    colour, in_steps = style.decoder_colour("student"), pd.notna(row["step"])
    ax.barh(place, row["ms"], height=0.65, color=colour, alpha=1.0 if in_steps else style.LIGHT)
    end = row["ms"]
    if in_steps and row["step"] > 0:
        end = steps["ms"].iloc[int(row["step"]) - 1]
        if end > row["ms"]:
            ax.barh(
                place,
                end - row["ms"],
                left=row["ms"],
                height=0.65,
                facecolor="none",
                edgecolor=colour,
                linewidth=0.6,
                linestyle=":",
            )
    bounds = (
        "" if pd.isna(row["ratio_low"]) or row["ratio"] == 1 else f" [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"
    )
    mark = "" if row["accepted"] == 1 else "?"
    ax.annotate(
        f"{row['ratio']:.2f}x{bounds}{mark}", (max(end, row["ms"]), place), (3, 0), textcoords="offset points",
        va="center", fontsize=6,
    )  # fmt: skip


FIGURE = PaperFigure(
    title="Levers of the runtime: times as fast as without any, with 95 % intervals. Above the line each lever by "
    "itself; below it each arm adds levers to the one above. A question mark: the machine did not hold still.",
    studies=STUDIES, numbers=numbers, draw=draw,
    cells=(
        latex.text("arm", "arm"), latex.text("levers", "levers"), latex.fixed("ms", "ms", 1),
        latex.interval("ratio", "times as fast"),
        latex.interval("gain", "over the step before"), latex.fixed("psnr", "dB to float32", 1),
        latex.fixed("peak_memory_mb", "peak MB", 0),
    ),
    table=lambda frame: frame.sort_values(["run_id", "step", "ms"], ascending=[True, True, False]),
)  # fmt: skip
