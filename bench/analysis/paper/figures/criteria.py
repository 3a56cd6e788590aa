"""Which channels to keep: rankings compared at equal shares, before and after a short training."""

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

STUDIES = ("pruning_criterion",)
QUALITIES = {"psnr_untrained_teacher": "untrained", "psnr_teacher": "trained"}


def numbers(material: Material) -> pd.DataFrame:
    """One row per share kept and ranking: PSNR against the teacher before and after training in dB, mean, smallest and
    largest over the runs that differ by seed only (lots), and how many those are. Best untrained first.
    """
    summary = summarise(material.of(STUDIES))
    parts = []
    for group, rows in summary.groupby(["study", "device_id", "protocol_id"]):
        rows = rows.assign(ranking=[_ranking(row) for row in rows.to_dict("records")])
        means = over_seeds(rows, ["ratio", "ranking"], list(QUALITIES))
        parts.append(means.assign(**dict(zip(["study", "device_id", "protocol_id"], group, strict=True))))
    if not parts:
        return pd.DataFrame()
    order = ["study", "device_id", "protocol_id", "ratio", "psnr_untrained_teacher"]
    return pd.concat(parts).sort_values(order, ascending=[True, True, True, False, False], ignore_index=True)


def _ranking(row: dict) -> str:
    """`independence (output)`: the criterion, and for independence what it weighs errors by."""
    if row["criterion"] != "independence":
        return str(row["criterion"])
    scaling = "" if row["scaling"] in (None, "total") else f", {row['scaling']}"
    return f"independence ({row['weighting']}{scaling})"


def draw(frame: pd.DataFrame, width: float) -> Figure:
    groups = list(frame.groupby(["study", "device_id", "protocol_id"]))
    rankings = frame.groupby("ranking")["psnr_untrained_teacher"].mean().sort_values().index
    figure, axes = style.sheet(width, (0.75 + 0.17 * len(rankings)) * len(groups), len(groups), 2, sharey=True)
    for row, (_, rows) in zip(axes, groups, strict=True):
        for ax, (column, title) in zip(row, QUALITIES.items(), strict=True):
            for place, (ratio, of_ratio) in enumerate(rows.groupby("ratio", sort=False)):
                at = [list(rankings).index(name) for name in of_ratio["ranking"]]
                bars = style.bars_of(of_ratio[column], of_ratio[f"{column}_low"], of_ratio[f"{column}_high"])
                ax.errorbar(
                    of_ratio[column], at, xerr=bars, fmt="osD^"[place % 4], markersize=3.5, elinewidth=0.8,
                    color=PALETTE[place % len(PALETTE)], label=f"{style.share(ratio)} kept",
                )  # fmt: skip
            ax.set_title(title, loc="left")
        row[0].set_yticks(range(len(rankings)), [style.plain(name, 27) for name in rankings])
    figure.supxlabel("PSNR to teacher (dB), before and after a short training", fontsize=7)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


FIGURE = PaperFigure(
    title="Rankings of channels. PSNR against the teacher in dB; brackets: smallest and largest of the lots drawn.",
    studies=STUDIES, numbers=numbers, draw=draw,
    table=lambda frame: frame.assign(kept=[f"{style.share(ratio)} of the channels kept" for ratio in frame["ratio"]]),
    blocks="kept",
    cells=(
        latex.text("ranking", "ranking"), latex.interval("psnr_untrained_teacher", "untrained"),
        latex.interval("psnr_teacher", "after a short training"), latex.fixed("runs", "runs", 0),
    ),
)  # fmt: skip
