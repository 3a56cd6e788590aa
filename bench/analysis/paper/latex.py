"""Data frames as LaTeX tables (booktabs): stored text stays text, a missing number is a dash."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd

from bench.analysis import units

DAGGER = "\N{DAGGER}"  # marks what is quoted
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}",
    DAGGER: r"\textsuperscript{\textdagger}", "×": r"\texttimes{}", "–": "--",
}  # fmt: skip


COLUMN_PT, BOTH_PT = 238.0, 498.0  # width of one column of a paper, and of both
_SIZES = ((r"\small", 4.6, 6.0), (r"\footnotesize", 4.1, 4.0), (r"\scriptsize", 3.6, 1.5))
"""Font, about how wide a letter of a table is, and the space to each side of a cell, in points."""


@dataclass(frozen=True)
class Cell:
    """One column of a table: its heading, and what is written for a row (a dict of plain values)."""

    heading: str
    write: Callable[[dict[str, Any]], str]
    number: bool = True


def text(column: str, heading: str) -> Cell:
    """The column's text."""
    return Cell(heading, lambda row: units.NOTHING if row[column] is None else str(row[column]), number=False)


def fixed(column: str, heading: str, digits: int, factor: float = 1.0) -> Cell:
    """A number with so many decimals, times `factor`."""
    return Cell(heading, lambda row: units.number(_times(row.get(column), factor), digits))


def short(column: str, heading: str) -> Cell:
    """A number with three digits and a prefix: `5.86 M`."""
    return Cell(heading, lambda row: units.short(row.get(column)))


def interval(column: str, heading: str, digits: int = 2) -> Cell:
    """A number and, where the bounds are known and differ from it, `[low, high]` of `<column>_low` and `_high`."""

    def write(row: dict[str, Any]) -> str:
        value, low, high = (row.get(f"{column}{end}") for end in ("", "_low", "_high"))
        bounds = "" if low is None or high is None or low == high else f" [{low:.{digits}f}, {high:.{digits}f}]"
        return units.number(value, digits) + bounds

    return Cell(heading, write)


def table(
    frame: pd.DataFrame, cells: Sequence[Cell], *, caption: str, label: str, blocks: str | None = None,
    notes: Sequence[str] = (),
) -> str:  # fmt: skip
    """A table environment to `\\input`; it needs the package booktabs. Columns without any number are left out.

    It takes one column of the page where it fits, else both, in the largest font that does.
    """
    rows = [_plain(row) for row in frame.to_dict("records")]
    cells = [cell for cell in cells if not cell.number or any(cell.write(row) != units.NOTHING for row in rows)]
    environment, font, space = _fitting(cells, rows, blocks)
    lines = [
        r"% \usepackage{booktabs}", rf"\begin{{{environment}}}", r"\centering", rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{label}}}", font, rf"\setlength{{\tabcolsep}}{{{space:g}pt}}",
        rf"\begin{{tabular}}{{{''.join('r' if cell.number else 'l' for cell in cells)}}}", r"\toprule",
        _line(escape(cell.heading) for cell in cells),
    ]  # fmt: skip
    for block, members in groupby(rows, key=lambda row: row[blocks] if blocks else None):
        lines.append(r"\midrule")
        if block:
            lines.append(_line([rf"\multicolumn{{{len(cells)}}}{{l}}{{\emph{{{escape(str(block))}}}}}"]))
        lines += [_line(_written(cell, row) for cell in cells) for row in members]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip\footnotesize {escape(note)}" for note in notes]
    return "\n".join([*lines, rf"\end{{{environment}}}", ""])


def _fitting(
    cells: Sequence[Cell], rows: Sequence[dict[str, Any]], blocks: str | None
) -> tuple[str, str, float]:  # fmt: skip
    """Environment, font and space between cells for a table of these rows."""
    letters = sum(max([len(cell.heading), *(len(cell.write(row)) for row in rows)]) for cell in cells)
    title = max((len(str(row[blocks])) for row in rows if blocks), default=0)
    widths = {font: max(letters * letter + 2 * space * len(cells), title * letter) for font, letter, space in _SIZES}
    fits = next((size for size in _SIZES if widths[size[0]] <= BOTH_PT), _SIZES[-1])
    return "table" if widths[_SIZES[0][0]] <= COLUMN_PT else "table*", fits[0], fits[2]


def escape(words: str) -> str:
    """Text that LaTeX prints as it is; a control character is a space, what pdflatex cannot print is its code point."""
    return "".join(_SPECIAL.get(letter) or _printable(letter) for letter in words)


def _printable(letter: str) -> str:
    if not letter.isprintable():
        return " "
    return letter if ord(letter) < 256 else f"{{[}}U+{ord(letter):04X}{{]}}"


def _line(cells: Any) -> str:
    return " & ".join(cells) + r" \\"


def _written(cell: Cell, row: dict[str, Any]) -> str:
    written = cell.write(row)
    return "--" if written == units.NOTHING else escape(written)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """None for every missing value."""
    return {
        name: None if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) else value
        for name, value in row.items()
    }


def _times(value: Any, factor: float) -> float | None:
    return None if value is None else float(value) * factor
