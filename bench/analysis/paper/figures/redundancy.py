"""How much of every site's variance its first k channels rebuild: a panel per site, a curve per ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.paper import latex, style
from bench.analysis.paper.base import WIDE, Material, PaperFigure
from bench.analysis.points import PALETTE, TEACHER_COLOUR
from bench.analysis.redundancy import BEST, OURS, SHARES, at_shares, curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("redundancy",)
ACROSS = 5  # panels in a row
SHOWN: dict[
    str, tuple[str, dict[str, Any]]
] = {  # ranking: name and look of its curve, the bound first so that it lies below the others
    "pca": ("bound (PCA)", {"color": TEACHER_COLOUR, "linestyle": "--"}),
    "random": ("random", {"color": PALETTE[5]}),
    "magnitude": ("magnitude", {"color": PALETTE[1]}),
    "activation": ("activation", {"color": PALETTE[2]}),
    OURS: ("independence", {"color": PALETTE[0], "linewidth": 1.3}),
}


def numbers(material: Material) -> pd.DataFrame:
    """One row per run, site, ranking and number of channels kept; `value` is the share of the site's variance."""
    return curves(material.of(STUDIES))


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Means over the sites of a run, by ranking, at an eighth, a quarter and a half of the channels."""
    shares = at_shares(frame[frame["arm"] != BEST])
    means = shares.groupby(["run_id", "arm"])[list(SHARES)].mean().reset_index()
    means = means.sort_values(["run_id", SHARES[1]], ascending=[True, False])
    return means.rename(columns={share: f"{share:g}" for share in SHARES})


def draw(frame: pd.DataFrame, width: float) -> Figure:
    sites = list(frame.groupby(["run_id", "stage"]))
    across = min(ACROSS if width > 5 else 2, len(sites))
    down = -(-len(sites) // across)
    side = width / max(across, 2)
    figure, axes = style.sheet(width, 0.55 + side * down, down, across, sharex=True, sharey=True)
    for ax, ((_, site), rows) in zip(axes.flat, sites, strict=False):
        for arm, (name, look) in SHOWN.items():
            curve = rows[rows["arm"] == arm].sort_values("share")
            if len(curve):
                ax.plot(curve["share"], curve["value"], label=name, **look)
        ax.set_title(f"{style.plain(site, 20)} ({rows['repeat'].max():.0f})", fontsize=6)
        ax.set_xlim(0, 1)
        ax.set_ylim(min(0.0, frame["value"].min()), 1.02)
        ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    for ax in axes.flat[len(sites) :]:
        ax.axis("off")
    figure.supxlabel("share of the site's channels kept (number of channels in brackets)", fontsize=7)
    figure.supylabel("share of variance rebuilt (R²)", fontsize=7)
    figure.legend(
        *axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(SHOWN) if width > 5 else 3
    )
    return figure


FIGURE = PaperFigure(
    title="Share of variance that kept channels rebuild, mean of the sites, by the share of channels kept.",
    studies=STUDIES, numbers=numbers, draw=draw, width=WIDE, table=table,
    cells=(latex.text("arm", "ranking"), *(latex.fixed(f"{share:g}", style.share(share), 3) for share in SHARES)),
     # type: ignore[arg-type]
    notes=("pca is the bound: no choice of as many channels can rebuild more.",),
)  # fmt: skip
