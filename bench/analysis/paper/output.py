"""A figure's files: the same numbers give the same bytes, whenever and wherever they are written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.paper import latex, style
from bench.analysis.paper.base import PaperFigure

FORMATS = ("csv", "tex", "pdf", "png")
DOTS_PER_INCH = 300
_UNDATED: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}


def write(
    name: str, figure: PaperFigure, numbers: pd.DataFrame, folder: Path, formats: Sequence[str] = FORMATS,
    width: float | None = None,
) -> list[Path]:  # fmt: skip
    """Write `<folder>/<name>.<format>` and return the paths; drawings have exactly `width` inches across.

    `csv` has every number with full digits, `tex` the table, `pdf`, `svg` and `png` (300 dots per inch) the drawing; a
    pure table has none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [form for form in formats if form in _UNDATED and figure.draw]
    paths = [folder / f"{name}.{form}" for form in formats if form not in _UNDATED]
    for path in paths:
        path.write_text(_text_of(name, figure, numbers, path.suffix), encoding="utf-8", newline="\n")
    if drawn and figure.draw:
        with style.drawing():
            sheet = figure.draw(numbers, width or figure.width)
            style.settle(sheet)
            for form in drawn:
                paths.append(folder / f"{name}.{form}")
                sheet.savefig(paths[-1], metadata=_UNDATED[form], dpi=DOTS_PER_INCH)
    return paths


def _text_of(name: str, figure: PaperFigure, numbers: pd.DataFrame, suffix: str) -> str:
    if suffix == ".csv":
        return numbers.to_csv(index=False, lineterminator="\n")
    rows = figure.table(numbers)
    cells = figure.cells(rows) if callable(figure.cells) else figure.cells
    return latex.table(
        rows, cells, caption=figure.title, label=name,
        blocks=figure.blocks, notes=figure.notes,
    )  # fmt: skip
