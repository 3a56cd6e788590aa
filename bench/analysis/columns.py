"""What the columns of the summary mean: label, unit, and which direction is better.

Costs are known here by name. Quality columns are `<metric>_<against>`; their unit and direction come from the stored
rows, so that a new metric reaches every table and figure without an edit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bench.analysis.results import Results
from bench.analysis.spec import dig


@dataclass(frozen=True)
class Column:
    """One numeric column of the summary that can be an axis or a table cell."""

    name: str
    label: str
    unit: str
    higher_is_better: bool
    quality: bool = False

    @property
    def title(self) -> str:
        """Label and unit, as on an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


COSTS = (
    Column("speedup", "Speed-up over the teacher", "x", True),
    Column("decode_time_ms", "Decode time", "ms", False),
    Column("fps", "Decoded frames per second", "frame/s", True),
    Column("parameters", "Parameters", "", False),
    Column("macs_per_frame", "MACs per frame", "", False),
    Column("peak_memory_mb", "Peak memory", "MB", False),
    Column("first_frame_s", "Time to the first frame", "s", False),
    Column("energy_per_frame_j", "Energy per frame", "J", False),
    Column("end_to_end_s", "Whole generation", "s", False),
    Column("end_to_end_speedup", "Speed-up of the whole generation", "x", True),
    Column("state_bytes", "State between chunks", "byte", False),
    Column("min_bytes_per_frame", "Least memory traffic per frame", "byte", False),
)

METRIC_LABELS = {
    "psnr": "PSNR", "psnr_mse": "PSNR of mean MSE", "psnr_untrained": "Untrained PSNR", "ssim": "SSIM",
    "lpips": "LPIPS", "fvd": "FVD",
}  # fmt: skip

_QUALITIES = (("psnr", "dB", True), ("psnr_mse", "dB", True), ("ssim", "", True), ("lpips", "", False))


def quality_column(metric: str, against: str, unit: str, higher_is_better: bool) -> Column:
    """The column of one metric against the source clip or against the teacher's output."""
    label = METRIC_LABELS.get(metric, metric.replace("_", " ").capitalize())
    shown_unit = "" if unit in ("1", "ratio", "score") else unit
    return Column(f"{metric}_{against}", f"{label} against {against}", shown_unit, bool(higher_is_better), quality=True)


KNOWN: Mapping[str, Column] = {column.name: column for column in COSTS} | {
    f"{metric}_{against}": quality_column(metric, against, unit, higher)
    for metric, unit, higher in _QUALITIES
    for against in ("source", "teacher")
}


def columns_of(results: Results) -> dict[str, Column]:
    """Every possible axis of these results, costs first; unit and direction of a metric are those of its rows."""
    rows = results.measurements
    rows = rows[rows["against"].notna()][["metric", "against", "unit", "higher_is_better"]]
    rows = rows.drop_duplicates(["metric", "against"]).sort_values(["metric", "against"])
    qualities = [quality_column(*row) for row in rows.itertuples(index=False, name=None)]
    return {column.name: column for column in (*COSTS, *qualities, *_scores(results))}


def _scores(results: Results) -> list[Column]:
    """What VBench-2.0 gave, where it is stored: the total, and its categories."""
    runs = results.of(results.finished("vbench2")).runs
    found = {name: None for text in runs["spec_json"] for name in dig(json.loads(text), "vbench2", "categories") or ()}
    names = ["total", *found] if found else []
    return [Column(f"vbench2_{name}", f"VBench-2.0, {name}", "", higher_is_better=True, quality=True) for name in names]


def find_column(name: str, columns: Mapping[str, Column] = KNOWN) -> Column:
    """The column called `name`; an unknown one is a `ValueError` that lists the known."""
    if name not in columns:
        raise ValueError(f"unknown column {name!r}; known: {', '.join(columns)}")
    return columns[name]
