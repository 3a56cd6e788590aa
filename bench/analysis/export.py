"""A table as a file to take away: CSV, Parquet, LaTeX."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from bench.analysis.paper.latex import escape

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_bytes(table: pd.DataFrame) -> bytes:
    """CSV whose text cells no spreadsheet takes for a formula."""
    safe = table.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(lambda cell: f"'{cell}" if str(cell).startswith(_FORMULA) else cell)
    return safe.to_csv(index=False).encode()


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """The table as one Parquet file."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return stream.getvalue()


def latex_text(table: pd.DataFrame) -> str:
    """A `tabular` with rules of the booktabs package; numbers to four digits, text escaped."""
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table]
    lines = [" & ".join(escape(str(name)) for name in table.columns) + r" \\"]
    lines += [" & ".join(map(_cell, row)) + r" \\" for row in table.itertuples(index=False, name=None)]
    layout = "".join("r" if number else "l" for number in numeric)
    return "\n".join(
        [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule",
         r"\end{tabular}", ""]
    )  # fmt: skip


def _cell(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "--"
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    return escape(str(value))
