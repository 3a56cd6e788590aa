"""What each phase of the distillation is worth, at equal steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.paper import latex, style
from bench.analysis.paper.base import Material, PaperFigure
from bench.analysis.points import PALETTE
from bench.analysis.summary import summarise
from bench.analysis.variants import over_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("distill_phases",)
GROUP = ["study", "device_id", "protocol_id"]
QUALITIES = ["psnr_teacher", "psnr_source", "ssim_source", "lpips_source", "sharpness_teacher"]


def numbers(material: Material) -> pd.DataFrame:
    """One row per set of phases: mean, smallest and largest over the seeds of every quality; the best PSNR first."""
    parts = []
    for group, rows in summarise(material.of(STUDIES)).groupby(GROUP):
        means = over_seeds(rows, ["phases", "steps"], QUALITIES)
        parts.append(means.assign(**dict(zip(GROUP, group, strict=True))))
    if not parts:
        return pd.DataFrame()
    return pd.concat(parts).sort_values(
        [*GROUP, "psnr_teacher"], ascending=[True, True, True, False], ignore_index=True
    )


def draw(frame: pd.DataFrame, width: float) -> Figure:
    groups = list(frame.groupby(GROUP))
    shown = {"psnr_teacher": "PSNR to teacher (dB)", "sharpness_teacher": "detail / teacher's"}
    figure, axes = style.sheet(
        width, 0.6 + 0.17 * len(frame), len(groups), len(shown), sharey="row", width_ratios=(1.4, 1)
    )
    for row, (_, rows) in zip(axes, groups, strict=True):
        rows = rows.iloc[::-1].reset_index(drop=True)
        for ax, (column, title) in zip(row, shown.items(), strict=True):
            bars = style.bars_of(rows[column], rows[f"{column}_low"], rows[f"{column}_high"])
            ax.errorbar(rows[column], rows.index, xerr=bars, fmt="o", markersize=3.5, elinewidth=0.9, color=PALETTE[0])
            ax.set_xlabel(title)
        row[1].axvline(1, color=style.GREY, linewidth=0.6, linestyle=":")
        row[0].set_yticks(rows.index, [style.plain(name, 24) for name in rows["phases"]])
        row[0].margins(y=0.08)
    return figure


FIGURE = PaperFigure(
    title="Phases of the distillation at equal steps. Brackets and bars: smallest and largest of the seeds.",
    studies=STUDIES, numbers=numbers, draw=draw,
    cells=(
        latex.text("phases", "phases"), latex.fixed("steps", "steps", 0),
        latex.interval("psnr_teacher", "PSNR to teacher (dB)"),
        latex.interval("psnr_source", "to source (dB)"), latex.interval("ssim_source", "SSIM to source", 4),
        latex.interval("lpips_source", "LPIPS to source", 4), latex.interval("sharpness_teacher", "fine detail"),
        latex.fixed("runs", "seeds", 0),
    ),
)  # fmt: skip
