"""How near every stage comes to the machine's bounds: arithmetic per byte against arithmetic per second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.analysis import arms, units
from bench.analysis.paper import latex, style
from bench.analysis.paper.base import Material, PaperFigure
from bench.analysis.stages import stages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("roofline",)
MARKERS = ("o", "s", "^", "D", "p", "h")


def numbers(material: Material) -> pd.DataFrame:
    """One row per arm and stage: `intensity` in FLOP/byte of least traffic, `rate` in FLOP/s, the machine's own rates
    from the same run, and the share of the bound that is reached (above 1 where a convolution beats the calibrating
    matrix product).
    """
    results = material.of(STUDIES)
    table, names = stages(results), arms.decoders(results)
    keys = list(zip(table["run_id"], table["arm"], strict=True))
    return table[["run_id", "device_id", "arm", "stage"]].assign(
        device_name=table["run_id"].map(results.runs.set_index("run_id")["device_name"]),
        decoder=[names.get(key, key[1]) for key in keys],
        intensity=table["flops"] / table["bytes"], rate=table["flops"] / table["seconds"],
        matmul_flops=table["matmul_flops"], copy_bytes=table["copy_bytes"], roofline=table["roofline"],
    )  # fmt: skip


def draw(frame: pd.DataFrame, width: float) -> Figure:
    runs = list(frame.groupby("run_id", sort=False))
    figure, axes = style.sheet(width, (2.6 if width < 5 else 3.6) * len(runs), len(runs))
    for ax, (_, rows) in zip(axes[:, 0], runs, strict=True):
        peak, traffic = rows["matmul_flops"].max(), rows["copy_bytes"].max()
        knee = peak / traffic
        reach = np.array([min(rows["intensity"].min(), knee) / 3, knee, max(rows["intensity"].max(), knee) * 2])
        ax.plot(reach, np.minimum(reach * traffic, peak), color=style.INK, linewidth=0.9)
        for place, (arm, of_arm) in enumerate(rows.groupby("arm", sort=False)):
            ax.plot(
                of_arm["intensity"], of_arm["rate"], MARKERS[place % len(MARKERS)], markersize=3.5, markeredgewidth=0,
                color=style.decoder_colour(of_arm["decoder"].iloc[0]), label=style.plain(arm),
            )  # fmt: skip
        ax.set_xscale("log")
        ax.set_yscale("log")
        style.log_ticks(ax.xaxis)
        style.log_ticks(ax.yaxis)
        ax.margins(0.05, 0.12)
        ax.set_xlabel("arithmetic per byte that must move (FLOP/byte)")
        ax.set_ylabel("arithmetic per second (FLOP/s)")
        device = style.plain(rows["device_name"].iloc[0])
        ax.set_title(f"{device}: {units.short(peak)}FLOP/s, {units.short(traffic)}B/s", loc="left")
        ax.legend(loc="lower right")
    for ax, (_, rows) in zip(axes[:, 0], runs, strict=True):
        inks = [style.decoder_colour(name) for name in rows["decoder"]]
        style.label_points(ax, list(zip(rows["intensity"], rows["rate"], rows["stage"], inks, strict=True)))
    return figure


FIGURE = PaperFigure(
    title="Stages under the roof that the machine's own matrix and copy rates draw, taken in the same run.",
    studies=STUDIES, numbers=numbers, draw=draw, blocks="arm",
    cells=(
        latex.text("stage", "stage"), latex.fixed("intensity", "FLOP/byte", 1), latex.fixed("rate", "GFLOP/s", 1, 1e-9),
        latex.fixed("roofline", "share of the bound", 2),
    ),
)  # fmt: skip
