"""How numbers are written: the same in tables, hover cards and pictures."""

from __future__ import annotations

import math

from bench.analysis.columns import Column

NOTHING = "-"  # no number here

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K"))


def number(value: float | None, digits: int) -> str:
    """`29.31`; a dash where there is none; an infinity or NaN by its name."""
    if value is None:
        return NOTHING
    return f"{float(value):.{digits}f}"


def short(value: float | None) -> str:
    """Three digits and a prefix: `5.86 M`, `812 K`, `60.3 G`, `7`."""
    if value is None:
        return NOTHING
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    for size, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * size:
            return f"{_three_digits(value / size)} {prefix}"
    return f"{value:.0f}" if value.is_integer() else _three_digits(value)


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """`3.61 [3.55, 3.70]`, without brackets where the bounds are unknown."""
    if value is None:
        return NOTHING
    bounds = "" if low is None or high is None else f" [{float(low):.2f}, {float(high):.2f}]"
    return f"{float(value):.2f}{bounds}"


def axis_value(value: float | None, column: Column) -> str:
    """A number with the unit of its column: `29.31 dB`, `1.82 G`."""
    if value is None or abs(value) >= 10_000:
        return f"{short(value)} {column.unit}".strip()
    return f"{value:.4g} {column.unit}".strip()


def _three_digits(value: float) -> str:
    return f"{value:#.3g}".rstrip(".")
