"""What fewer channels cost and buy: quality before and after a short training, and the speed-up, by share kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.paper import latex, style
from bench.analysis.paper.base import Material, PaperFigure
from bench.analysis.points import PALETTE
from bench.analysis.summary import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("pruning_ratio",)
COLUMNS = [
    "study", "device_name", "device_id", "protocol_id", "label", "plan", "ratio", "subsets", "seed", "speedup",
    "speedup_low", "speedup_high", "decode_time_ms", "psnr_untrained_teacher", "psnr_teacher", "psnr_source",
    "ssim_source", "lpips_source", "parameters", "macs_per_frame",
]  # fmt: skip
LINES = {"psnr_untrained_teacher": ("untrained", "--", "none"), "psnr_teacher": ("trained", "-", "full")}
MARKERS = {"stage": "o", "block": "s"}


def numbers(material: Material) -> pd.DataFrame:
    """One row per run that prunes, in columns of the summary: shares from large to small, subsets per stage first."""
    rows = summarise(material.of(STUDIES)).reindex(columns=COLUMNS)
    rows = rows[rows["plan"] != "teacher"]
    order = ["study", "device_id", "protocol_id", "plan", "subsets", "ratio", "seed"]
    return rows.sort_values(order, ascending=[True, True, True, True, False, False, True], ignore_index=True)


def draw(frame: pd.DataFrame, width: float) -> Figure:
    groups = list(frame.groupby(["study", "device_id", "protocol_id"]))
    figure, axes = style.sheet(width, 0.35 + 1.9 * len(groups), len(groups), 2, width_ratios=(1.25, 1))
    for (quality, speed), (_, rows) in zip(axes, groups, strict=True):
        for place, ((plan, subsets), of_kind) in enumerate(rows.groupby(["plan", "subsets"], sort=False)):
            colour, marker = PALETTE[place % len(PALETTE)], MARKERS.get(str(subsets), "D")
            kind = style.plain(f"{plan}, {subsets}", 20)
            for column, (name, line, fill) in LINES.items():
                quality.plot(
                    of_kind["ratio"], of_kind[column], linestyle=line, marker=marker, markersize=3.5, color=colour,
                    fillstyle=fill, label=f"{kind}, {name}",
                )  # fmt: skip
            bars = style.bars_of(of_kind["speedup"], of_kind["speedup_low"], of_kind["speedup_high"])
            speed.errorbar(
                of_kind["ratio"], of_kind["speedup"], yerr=bars, fmt=f"-{marker}", markersize=3.5, color=colour
            )
        for ax in (quality, speed):
            ax.set_xscale("log", base=2)
            shares = sorted(set(rows["ratio"]), reverse=True)
            ax.set_xticks(shares, [style.share(share) for share in shares])
            ax.invert_xaxis()
            ax.set_xlabel("share of channels kept")
        quality.set_ylabel("PSNR against teacher (dB)")
        speed.set_ylabel("speed-up over the teacher (x)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, handlelength=2.6)
    return figure


FIGURE = PaperFigure(
    title="Share of channels kept: quality before and after a short training (one run each). Brackets and bars: 95 % "
    "intervals of the speed-up within one run.",
    studies=STUDIES, numbers=numbers, draw=draw,
    cells=(
        latex.text("label", "variant"), latex.fixed("ratio", "kept", 3), latex.interval("speedup", "speed-up"),
        latex.fixed("psnr_untrained_teacher", "untrained, dB", 2), latex.fixed("psnr_teacher", "trained, dB", 2),
        latex.fixed("psnr_source", "to source, dB", 2), latex.fixed("ssim_source", "SSIM", 4),
        latex.fixed("lpips_source", "LPIPS", 4), latex.short("parameters", "parameters"),
        latex.short("macs_per_frame", "MACs/frame"),
    ),
)  # fmt: skip
