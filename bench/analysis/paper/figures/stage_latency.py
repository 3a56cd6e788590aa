"""Where a decode's time goes: milliseconds per stage, and the part of it that is convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis import arms
from bench.analysis.paper import latex, style
from bench.analysis.paper.base import Material, PaperFigure
from bench.analysis.stages import stages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDIES = ("stage_latency",)


def numbers(material: Material) -> pd.DataFrame:
    """One row per arm and stage: `ms` per clip (median), the part of it in convolutions (`convolution_ms`), the stage's
    share of the decode. Below them what the paper printed for its teacher,
    `kind` "quoted": another clip and machine.
    """
    results = material.of(STUDIES)
    table = stages(results)
    if table.empty:
        return table
    names = arms.decoders(results)
    devices = results.runs.set_index("run_id")["device_name"]
    measured = pd.DataFrame({
        "kind": "measured", "run_id": table["run_id"],
        "device": table["run_id"].map(devices), "arm": table["arm"],
        "decoder": [names.get(key, key[1]) for key in zip(table["run_id"], table["arm"], strict=True)],
        "stage": table["stage"], "ms": 1e3 * table["seconds"], "convolution_ms": 1e3 * table["convolution_s"],
        "share": table["share"], "convolution_share": table["convolution_s"] / table["seconds"],
    })  # fmt: skip
    return pd.concat([measured, _quoted(material.published)], ignore_index=True)


def _quoted(published: pd.DataFrame) -> pd.DataFrame:
    """Printed stage times, in the same columns."""
    words = published["metric"].str.split(" ", n=1, expand=True).reindex(columns=[0, 1])
    rows = published.assign(what=words[0], stage=words[1])
    rows = rows[rows["what"].isin(["stage_time", "convolution_share"])]
    if rows.empty:
        return pd.DataFrame()
    wide = rows.pivot_table(index=["decoder", "device", "source", "stage"], columns="what", values="value", sort=False)
    wide = wide.reset_index().rename(columns={"stage_time": "ms"})
    return pd.DataFrame({
        "kind": "quoted", "device": wide["device"], "arm": wide["decoder"] + latex.DAGGER, "decoder": wide["decoder"],
        "stage": wide["stage"], "ms": wide["ms"], "convolution_ms": wide["ms"] * wide["convolution_share"],
        "share": wide["ms"] / wide.groupby("decoder")["ms"].transform("sum"),
        "convolution_share": wide["convolution_share"], "source": wide["source"],
    })  # fmt: skip


def draw(frame: pd.DataFrame, width: float) -> Figure:
    panels = list(frame.groupby(["kind", "run_id", "arm"], sort=False, dropna=False))
    across = 1 if width < 5 else min(len(panels), 2)
    down = -(-len(panels) // across)
    figure, axes = style.sheet(width, 0.1 + (1.15 if across == 1 else 1.9) * down, down, across)
    for ax, (_, rows) in zip(axes.flat, panels, strict=False):
        _panel(ax, rows.reset_index(drop=True), ": " if across == 1 else "\n")
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, break_or_space: str) -> None:
    quoted, colour = rows["kind"].iloc[0] == "quoted", style.decoder_colour(rows["decoder"].iloc[0])
    places = range(len(rows))
    if quoted:
        ax.bar(places, rows["ms"], width=0.75, **style.QUOTED)
        ax.bar(places, rows["convolution_ms"], width=0.75, hatch="/////", **style.QUOTED)
    else:
        ax.bar(places, rows["ms"], width=0.75, color=colour, alpha=style.LIGHT)
        ax.bar(places, rows["convolution_ms"], width=0.75, color=colour)
    for place, row in rows.iterrows():
        ax.annotate(
            f"{row['convolution_share']:.0%}", (float(place), row["ms"]), (0, 1), textcoords="offset points",
             # type: ignore[arg-type]
            ha="center", va="bottom", fontsize=6,
        )  # fmt: skip
    total = rows["ms"].sum()
    conv = rows["convolution_ms"].sum() / total
    place = "quoted" if quoted else style.plain(rows["device"].iloc[0], 22)
    words = f"{style.plain(rows['arm'].iloc[0], 18)}, {place}{break_or_space}{total:.4g} ms, {conv:.0%} conv."
    ax.set_title(words, loc="left", fontsize=6.5)
    ax.set_xticks(places, [style.plain(stage, 10) for stage in rows["stage"]])
    ax.set_ylabel("time (ms)")
    ax.margins(y=0.2)
    ax.grid(axis="x", visible=False)


FIGURE = PaperFigure(
    title="Time per stage of one decode. Solid or hatched, and the percentage: convolutions. Panels differ in scale.",
    studies=STUDIES, numbers=numbers, draw=draw, blocks="arm",
    cells=(
        latex.text("stage", "stage"), latex.fixed("ms", "ms", 2), latex.fixed("share", "share of decode (%)", 1, 100),
        latex.fixed("convolution_share", "convolutions (%)", 1, 100),
    ),
    notes=(f"{latex.DAGGER} Read off assets/latency.png of Aoko955/Flash-VAED; clip and device are not stated.",),
)  # fmt: skip
