"""End to end: text, denoising, decoding and writing of whole generations, one bar per host and decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis import end_to_end
from bench.analysis.paper import latex, style
from bench.analysis.paper.base import Material, PaperFigure
from bench.analysis.points import PALETTE, TEACHER_COLOUR
from bench.analysis.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("end_to_end",)
PARTS = {
    "text_s": ("text", PALETTE[4]), "denoise_s": ("denoising", TEACHER_COLOUR), "decode_s": ("decoding", PALETTE[1]),
    "write_s": ("writing", PALETTE[5]),
}  # fmt: skip
TOTAL = "end_to_end_s"
PRINTED = {"text": "text_s", "denoise": "denoise_s", "decode": "decode_s", "end_to_end": TOTAL}


def numbers(material: Material) -> pd.DataFrame:
    """One row per host and decoder: median seconds of every part and of the whole, the speed-up over the run's
    baseline, and the most that any decoder could give (`amdahl_ceiling`: the baseline's whole over its whole without
    decoding). Below them what the paper printed, `kind` "quoted".
    """
    measured = generations(material.of(STUDIES))
    if measured.empty:
        return measured
    return pd.concat([measured.assign(kind="measured"), _quoted(material.published)], ignore_index=True)


def generations(results: Results) -> pd.DataFrame:
    """Columns host, device, arm, the parts of `PARTS` and `end_to_end_s` in seconds, speedup, amdahl_ceiling."""
    found = end_to_end.table(results).rename(columns={"device_name": "device"})
    return found[["host", "device", "arm", *PARTS, TOTAL, "speedup", "amdahl_ceiling"]]


def _quoted(published: pd.DataFrame) -> pd.DataFrame:
    rows = published[published["metric"].isin(PRINTED) & published["dataset"].str.contains("Self-Forcing")]
    if rows.empty:
        return pd.DataFrame()
    keys = ["dataset", "device", "decoder", "source"]
    wide = rows.assign(metric=rows["metric"].map(PRINTED)).pivot_table(
        index=keys, columns="metric", values="value", sort=False
    )
    wide = wide.reset_index().rename_axis(columns=None)
    return wide.rename(columns={"dataset": "host", "decoder": "arm"}).assign(kind="quoted")


def draw(frame: pd.DataFrame, width: float) -> Figure:
    hosts = list(frame.groupby(["kind", "host", "device"], sort=False))
    sizes = [len(rows) for _, rows in hosts]
    figure, axes = style.sheet(width, 0.7 + 0.2 * sum(sizes) + 0.42 * len(hosts), len(hosts), height_ratios=sizes)
    for ax, ((kind, host, device), rows) in zip(axes[:, 0], hosts, strict=True):
        rows = rows.reset_index(drop=True)
        for place, row in rows.iterrows():
            _bar(ax, float(place), row, kind == "quoted")  # type: ignore[arg-type]
        ends = rows[[*PARTS, TOTAL]].reindex(columns=[*PARTS, TOTAL])
        longest = ends[[TOTAL]].assign(parts=ends[list(PARTS)].sum(axis=1)).max(axis=None)
        ax.set_xlim(0, 1.6 * longest)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.set_yticks(rows.index, [style.plain(arm, 18) + latex.DAGGER * (kind == "quoted") for arm in rows["arm"]])
        known = [host, device] if device != "not stated" else [host]
        words = ", ".join(style.plain(word, 22) for word in known) + ", quoted" * (kind == "quoted")
        ax.set_title(words, loc="left", fontsize=6.5)
        if kind == "measured":
            ax.axvline(rows[TOTAL].iloc[0] - rows["decode_s"].iloc[0], color=style.INK, linewidth=0.8, linestyle=":")
        ax.grid(axis="y", visible=False)
    axes[-1, 0].set_xlabel("time of a generation (s)")
    figure.legend(handles=_legend(), loc="outside upper center", ncols=len(PARTS))
    return figure


def _bar(ax: Any, place: float, row: pd.Series, quoted: bool) -> None:
    end = 0.0
    for part, (_, colour) in PARTS.items():
        seconds = row.get(part)
        if seconds is not None and pd.notna(seconds):
            look = {"facecolor": "none", "edgecolor": colour, "linewidth": 1.0} if quoted else {"color": colour}
            ax.barh(place, seconds, left=end, height=0.65, **look)
            end += seconds
    total, shown = row.get(TOTAL), end
    if total is not None and pd.notna(total):
        ax.barh(place, total, height=0.65, **style.QUOTED)
        end, shown = max(end, total), total
    speedup = row.get("speedup")
    words = f"{shown:.2f} s" + (f", {speedup:.2f}x" if speedup is not None and pd.notna(speedup) else "")
    ax.annotate(words, (end, place), (3, 0), textcoords="offset points", va="center", fontsize=6)


def _legend() -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(color=colour, label=name) for name, colour in PARTS.values()]


FIGURE = PaperFigure(
    title="Whole generations: median seconds, speed-up over the host's own decoder, and the most that any decoder "
    "could give (ceiling; the dotted line is the time without any decoding).",
    studies=STUDIES, numbers=numbers, draw=draw, blocks="block",
    table=lambda frame: frame.assign(
        block=frame["host"] + ", " + frame["device"],
        arm=frame["arm"] + frame["kind"].map({"quoted": latex.DAGGER, "measured": ""})
    ),
    cells=(
        latex.text("arm", "decoder"), latex.fixed("text_s", "text", 2), latex.fixed("denoise_s", "denoise", 2),
        latex.fixed("decode_s", "decode", 2), latex.fixed("write_s", "write", 2), latex.fixed(TOTAL, "whole (s)", 2),
        latex.fixed("speedup", "speed-up", 2), latex.fixed("amdahl_ceiling", "ceiling", 2),
    ),
    notes=(f"{latex.DAGGER} As printed; other clips and machines, not to be ranked with ours.",),
)  # fmt: skip
