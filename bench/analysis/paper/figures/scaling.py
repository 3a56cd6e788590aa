"""Throughput and memory against the length of the clip and the size of the frame, for several latents per step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis import arms
from bench.analysis.paper import latex, style
from bench.analysis.paper.base import Material, PaperFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDIES = ("scaling",)
LOOKS = (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."))
SHOWN = {"mpixel_per_s": "throughput (Mpixel/s)", "peak_memory_mb": "peak memory (MB)"}

LOGARITHMIC = ("peak_memory_mb",)


def numbers(material: Material) -> pd.DataFrame:
    """One row per geometry and arm: `fps` (median, all clips of the batch) with its 95 % interval, `peak_memory_mb`."""
    results = material.of(STUDIES)
    specs = dict(zip(results.runs["run_id"], results.runs["spec_json"], strict=True))
    names, found = arms.decoders(results), []
    for row in arms.compare(results).to_dict("records"):
        timing = json.loads(specs[row["run_id"]])["timing"]
        seconds = arms.decode_seconds(results, row["run_id"], row["arm"])
        found.append({
            "device_id": row["device_id"], "arm": row["arm"],
            "decoder": names.get((row["run_id"], row["arm"]), row["arm"]),
            "frames": timing["frames"], "height": timing["height"], "width": timing["width"],
            "batch": timing.get("batch", 1),
            "pixels": timing["height"] * timing["width"], "fps": row["fps"], "fps_low": row["frames"] / seconds.high,
            "fps_high": row["frames"] / seconds.low, "peak_memory_mb": float(row["peak_memory_bytes"] or "nan") / 1e6,
        })  # fmt: skip
    frame = pd.DataFrame(found)
    for end in ("", "_low", "_high") if found else ():
        frame[f"mpixel_per_s{end}"] = 1e-6 * frame["pixels"] * frame[f"fps{end}"]
    return (
        frame.sort_values(["device_id", "batch", "pixels", "frames"], kind="stable", ignore_index=True)
        if found
        else frame
    )


def draw(frame: pd.DataFrame, width: float) -> Figure:
    """Of single clips: left at the commonest frame size, right at the commonest length."""
    devices = list(frame[frame["batch"] == 1].groupby("device_id"))
    figure, axes = style.sheet(width, 0.35 + 2.7 * len(devices), 2 * len(devices), 2, sharey="row")
    for place, (_, rows) in enumerate(devices):
        pixels, frames = rows["pixels"].mode().max(), rows["frames"].mode().max()
        size = rows[rows["pixels"] == pixels].iloc[0]
        for (column, title), (left, right) in zip(SHOWN.items(), axes[2 * place : 2 * place + 2], strict=True):
            _curves(left, rows[rows["pixels"] == pixels], "frames", column)
            _curves(right, rows[rows["frames"] == frames], "pixels", column)
            left.set_ylabel(title)
            right.set_xticks(
                sorted(set(rows[rows["frames"] == frames]["pixels"])), _sizes(rows[rows["frames"] == frames])
            )
            lengths = sorted(set(rows[rows["pixels"] == pixels]["frames"]))
            left.set_xticks(lengths, [str(length) for length in lengths])
        left.set_xlabel(f"frames, each {size['height']} x {size['width']}")
        right.set_xlabel(f"frame size (pixels), {frames} frames")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _curves(ax: Axes, rows: pd.DataFrame, x: str, y: str) -> None:
    for place, (arm, of_arm) in enumerate(rows.groupby("arm", sort=False)):
        of_arm = of_arm.sort_values(x)
        marker, line = LOOKS[place % len(LOOKS)]
        bars = style.bars_of(of_arm[y], of_arm.get(f"{y}_low", of_arm[y]), of_arm.get(f"{y}_high", of_arm[y]))
        ax.errorbar(
            of_arm[x], of_arm[y], yerr=bars, marker=marker, linestyle=line, markersize=3.5, elinewidth=0.8,
            color=style.decoder_colour(of_arm["decoder"].iloc[0]), label=style.plain(arm),
            fillstyle="full" if place == 0 else "none",
        )  # fmt: skip
    ax.set_xscale("log")
    if y in LOGARITHMIC:
        ax.set_yscale("log")
        style.log_ticks(ax.yaxis)
    else:
        ax.set_ylim(bottom=0)
    ax.minorticks_off()


def _sizes(rows: pd.DataFrame) -> list[str]:
    sizes = rows.sort_values("pixels").drop_duplicates("pixels")
    return [f"{height}x{width}" for height, width in zip(sizes["height"], sizes["width"], strict=True)]


FIGURE = PaperFigure(
    title="Throughput and peak memory against clip length and frame size. Brackets and bars: 95 % intervals.",
    studies=STUDIES, numbers=numbers, draw=draw, blocks="arm",
    table=lambda frame: frame.sort_values("arm", kind="stable"),
    cells=(
        latex.fixed("frames", "frames", 0), latex.fixed("height", "height", 0), latex.fixed("width", "width", 0),
        latex.fixed("batch", "clips", 0), latex.interval("fps", "frames/s", 1),
        latex.fixed("peak_memory_mb", "peak MB", 0),
    ),
)  # fmt: skip
