"""What papers and logs printed: speed against quality, one panel per source and device, all of it hollow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.paper import latex, style
from bench.analysis.paper.base import WIDE, Material, PaperFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 3  # panels in a row of a wide figure
MARKERS = {"wan21": "o", "ltx": "s"}


def numbers(material: Material) -> pd.DataFrame:
    """One row per decoder, data set and device with both a printed frame rate and a printed PSNR of the same source."""
    rows = material.published
    keys = ["source", "dataset", "latent_space", "decoder"]
    speed = rows[rows["metric"] == "fps"][[*keys, "device", "value", "protocol"]]
    speed = speed.rename(columns={"value": "fps", "protocol": "speed_protocol"})
    quality = rows[rows["metric"].isin(["psnr", "ssim", "lpips"])]
    protocol = quality.groupby(keys, sort=False)["protocol"].first().rename("quality_protocol")
    wide = quality.pivot_table(index=keys, columns="metric", values="value", sort=False)
    return speed.merge(wide.join(protocol).reset_index(), on=keys).reset_index(drop=True)


def draw(frame: pd.DataFrame, width: float) -> Figure:
    panels = list(frame.groupby(["source", "dataset", "device"], sort=False))
    across = min(len(panels), ACROSS if width > 5 else 1)
    down = -(-len(panels) // across)
    figure, axes = style.sheet(width, 2.0 * down, down, across)
    for ax, ((source, dataset, device), rows) in zip(axes.flat, panels, strict=False):
        for space, of_space in rows.groupby("latent_space", sort=False):
            colours = [style.decoder_colour(name) for name in of_space["decoder"]]
            ax.scatter(
                of_space["fps"], of_space["psnr"], s=16, marker=MARKERS.get(str(space), "D"), facecolors="none",
                edgecolors=colours, linewidths=1.0,
            )  # fmt: skip
        ax.set_title(
            f"{style.plain(device, 22)}, {style.plain(dataset, 20)}\n{style.plain(_short(source), 40)}",
            loc="left",
            fontsize=6,
        )
        ax.set_xscale("log")
        style.log_ticks(ax.xaxis)
        ax.margins(0.35, 0.15)
        ax.set_xlabel(f"printed{latex.DAGGER} speed (frame/s)")
        ax.set_ylabel(f"printed{latex.DAGGER} PSNR (dB)")
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (_, rows) in zip(axes.flat, panels, strict=False):
        inks = [style.decoder_colour(name) for name in rows["decoder"]]
        style.label_points(ax, list(zip(rows["fps"], rows["psnr"], rows["decoder"], inks, strict=True)))
    return figure


def _short(source: str) -> str:
    """The source without what stands in brackets or behind a colon."""
    return source.split(" (")[0].split(":")[0]


FIGURE = PaperFigure(
    title="Printed numbers. Panels cannot be compared with each other, nor with ours: clips, sizes, machines differ.",
    studies=(), numbers=numbers, draw=draw, width=WIDE, blocks="block",
    table=lambda frame: frame.assign(
        block=frame["dataset"] + ": " + frame["source"], marked=frame["decoder"] + latex.DAGGER
    ),
    cells=(
        latex.text("marked", "decoder"), latex.text("device", "device"), latex.fixed("fps", "frames/s", 2),
        latex.fixed("psnr", "PSNR (dB)", 2), latex.fixed("ssim", "SSIM", 4), latex.fixed("lpips", "LPIPS", 4),
    ),
    missing="no printed numbers; they are in published/*.csv of a results folder",
    notes=(f"{latex.DAGGER} As printed by the source named.",),
)  # fmt: skip
