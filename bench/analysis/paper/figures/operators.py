"""Which operator in which stage: one stage at a time takes it, no channel is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.paper import latex, style
from bench.analysis.paper.base import WIDE, Material, PaperFigure
from bench.analysis.summary import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("stage_operator",)
SHOWN = {
    "psnr_untrained_teacher": ("PSNR to teacher, untrained (dB)", "{:.1f}"),
    "psnr_teacher": ("after a short training (dB)", "{:.1f}"),
    "speedup": ("speed-up over the teacher (x)", "{:.2f}"),
}
KEPT = ["study", "device_id", "protocol_id", "stage", "operator", *SHOWN, "speedup_low", "speedup_high", "parameters"]


def numbers(material: Material) -> pd.DataFrame:
    """One row per stage and operator, of the runs whose plan changes exactly one stage's operator and nothing else."""
    results = material.of(STUDIES)
    swaps = {
        run_id: _only_swap(json.loads(text))
        for run_id, text in zip(results.runs["run_id"], results.runs["spec_json"], strict=True)
    }
    rows = summarise(results)
    pairs = [swaps[run_id] or (None, None) for run_id in rows["run_id"]]
    rows = rows.assign(stage=[stage for stage, _ in pairs], operator=[operator for _, operator in pairs])
    rows = rows[rows["stage"].notna()]
    return rows.reindex(columns=KEPT).sort_values(KEPT[:5], ignore_index=True)


def _only_swap(spec: dict) -> tuple[str, str] | None:
    plan = spec.get("plan") or {}
    changed = {stage: edit for stage, edit in plan.items() if any(edit.values())}
    if len(changed) != 1:
        return None
    ((stage, edit),) = changed.items()
    swapped = edit.get("operator") and not edit.get("prune") and not edit.get("channels")
    return (stage, str(edit["operator"])) if swapped else None


def draw(frame: pd.DataFrame, width: float) -> Figure:
    operators, stages = sorted(set(frame["operator"])), sorted(set(frame["stage"]))
    groups = list(frame.groupby(KEPT[:3]))
    height = (0.75 + 0.24 * len(operators)) * len(groups)
    figure, axes = style.sheet(width, height, len(groups), len(SHOWN), sharey=True)
    for row, (_, rows) in zip(axes, groups, strict=True):
        for ax, (column, (title, form)) in zip(row, SHOWN.items(), strict=True):
            grid = rows.pivot_table(index="operator", columns="stage", values=column).reindex(operators)[stages]
            image = ax.imshow(grid, aspect="auto", cmap="cividis")
            for (i, j), value in _cells(grid):
                dark = image.norm(value) < 0.55
                ax.text(
                    j, i, form.format(value), ha="center", va="center", fontsize=6, color="white" if dark else style.INK
                )
            ax.set_title(title, loc="left")
            ax.set_xticks(range(len(stages)), [style.plain(name, 8) for name in stages])
            ax.set_yticks(range(len(operators)), [style.plain(name, 20) for name in operators])
            ax.grid(visible=False)
            ax.tick_params(length=0)
            ax.spines[:].set_visible(False)
        row[0].set_ylabel("operator")
    figure.supxlabel("the stage that takes it", fontsize=7)
    return figure


def _cells(grid: pd.DataFrame) -> list[tuple[tuple[int, int], float]]:
    values = grid.to_numpy(dtype=float)
    return [
        ((i, j), values[i, j])
        for i in range(values.shape[0])
        for j in range(values.shape[1])
        if values[i, j] == values[i, j]
    ]


FIGURE = PaperFigure(
    title="Operators, one stage at a time. PSNR against the teacher in dB; brackets: 95 % intervals within one run.",
    studies=STUDIES, numbers=numbers, draw=draw, width=WIDE, blocks="stage",
    table=lambda frame: frame.sort_values(["stage", "psnr_untrained_teacher"], ascending=[True, False]),
    cells=(
        latex.text("operator", "operator"), latex.fixed("psnr_untrained_teacher", "untrained", 2),
        latex.fixed("psnr_teacher", "after a short training", 2), latex.interval("speedup", "speed-up"),
        latex.short("parameters", "parameters"),
    ),
)  # fmt: skip
