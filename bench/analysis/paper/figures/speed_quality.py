"""Speed against quality: a point per variant, its interval, the front, and the teacher timed beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.analysis.columns import columns_of
from bench.analysis.paper import latex, style
from bench.analysis.paper.base import Material, PaperFigure
from bench.analysis.points import TEACHER_COLOUR, pareto_points, plan_colours
from bench.analysis.summary import summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDIES = ("quickstart",)
GROUP = ["study", "device_name", "device_id", "protocol_id"]
DECIBEL_CAP = 100.0  # what the PSNR of identical frames is stored as
MARKERS = ("o", "s", "D", "^", "p", "h")


def numbers(material: Material) -> pd.DataFrame:
    """One row per variant, and one per group for the teacher: `x` with its 95 % bounds, `y`, and whether it is on the
    front. Groups of one study, device and protocol are never ranked together.
    """
    results = material.of(STUDIES)
    columns, parts = columns_of(results), []
    for group, rows in summarise(results).groupby(GROUP):
        points = pareto_points(rows, material.x, material.y, columns)
        found = points.rows[["label", "plan", "on_front"]].assign(
            x=points.rows[points.x.name].astype(float), x_low=points.low, x_high=points.high,
            y=points.rows[points.y.name].astype(float),
        )  # fmt: skip
        if points.teacher and len(found):
            found.loc[len(rows) + 1] = [
                "teacher",
                "teacher",
                False,
                points.teacher[0],
                np.nan,
                np.nan,
                points.teacher[1],
            ]
            found = found.assign(timed_beside=[False] * (len(found) - 1) + [True])
        titles = {"x_title": points.x.title, "y_title": points.y.title}
        parts.append(found.assign(**dict(zip(GROUP, group, strict=True)), **titles))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def draw(frame: pd.DataFrame, width: float) -> Figure:
    groups = list(frame.groupby(GROUP, sort=False))
    figure, axes = style.sheet(width, 0.3 + (2.5 if width < 5 else 3.6) * len(groups), len(groups))
    for ax, ((study, device, *_), rows) in zip(axes[:, 0], groups, strict=True):
        ax.set_title(style.plain(f"{study}, {device}", 60), loc="left")
        _panel(ax, rows)
    for ax, (_, rows) in zip(axes[:, 0], groups, strict=True):
        rows = _below_the_cap(rows)
        ordered = rows[~_is_teacher(rows)].sort_values("on_front", ascending=False, kind="stable")
        inks = [style.INK if on_front else style.GREY for on_front in ordered["on_front"]]
        style.label_points(ax, list(zip(ordered["x"], ordered["y"], ordered["label"], inks, strict=True)))
    return figure


def _panel(ax: Axes, rows: pd.DataFrame) -> None:
    exact = rows[~rows.index.isin(_below_the_cap(rows).index)]
    rows = _below_the_cap(rows)
    front = rows[rows["on_front"].astype(bool)].sort_values("x")
    ax.plot(front["x"], front["y"], ":", color=style.GREY, linewidth=0.9, label="front", zorder=1)
    colours = plan_colours(rows["plan"])
    students = rows[~_is_teacher(rows)]
    for place, (plan, of_plan) in enumerate(students.groupby("plan")):
        for on_front, chosen in of_plan.groupby("on_front"):
            named = "_" if len(of_plan[of_plan["on_front"]]) and not on_front else style.plain(plan)
            ax.errorbar(
                chosen["x"], chosen["y"], xerr=style.bars_of(chosen["x"], chosen["x_low"], chosen["x_high"]),
                fmt=MARKERS[place % len(MARKERS)], markersize=4, color=colours[plan], elinewidth=0.8, label=named,
                alpha=1.0 if on_front else style.LIGHT + 0.15, markeredgewidth=0,
            )  # fmt: skip
    beside = rows[_is_teacher(rows)]
    ax.plot(beside["x"], beside["y"], "*", color=TEACHER_COLOUR, markersize=7, label="teacher, timed beside")
    if len(exact):
        names = ", ".join(style.plain(label) for label in exact["label"])
        ax.annotate(
            f"above: {names} ({DECIBEL_CAP:g} dB, identical)", (1, 1), xycoords="axes fraction", ha="right", va="top",
            fontsize=6, color=style.GREY,
        )  # fmt: skip
    ax.margins(0.08, 0.1)
    ax.set_xlabel(rows["x_title"].iloc[0] if len(rows) else "")
    ax.set_ylabel(rows["y_title"].iloc[0] if len(rows) else "")
    handles, words = ax.get_legend_handles_labels()
    order = np.argsort([name in ("front", "teacher, timed beside") for name in words], kind="stable")
    ax.legend([handles[i] for i in order], [words[i] for i in order], loc="best", handlelength=1.2, labelspacing=0.3)


def _is_teacher(rows: pd.DataFrame) -> pd.Series:
    return rows.get("timed_beside", pd.Series(False, rows.index)).fillna(False).astype(bool)


def _below_the_cap(rows: pd.DataFrame) -> pd.DataFrame:
    """Without exact copies, where they would flatten everything else."""
    below = rows["y"] < DECIBEL_CAP
    is_psnr = rows["y_title"].str.endswith("(dB)").all()
    return rows[below] if is_psnr and 2 <= below.sum() < len(rows) else rows


FIGURE = PaperFigure(
    title="Speed against quality. Brackets and bars: 95 % intervals of the speed-up within one run.",
    studies=STUDIES, numbers=numbers, draw=draw, blocks="block",
    table=lambda frame: frame.assign(
        block=frame["study"] + ", " + frame["device_name"] + ": " + frame["y_title"] + " against " + frame["x_title"],
        front=frame["on_front"].map({True: "yes", False: ""}),
    ).sort_values(["block", "x"]),
    cells=(
        latex.text("label", "variant"), latex.text("plan", "plan"), latex.interval("x", "cost"),
        latex.fixed("y", "quality", 3), latex.text("front", "on the front"),
    ),
)  # fmt: skip
