"""Paper and pen: the few SVG elements that every picture of this folder is made of, as text."""

from __future__ import annotations

import math
from collections.abc import Iterable
from xml.sax.saxutils import escape

from bench.analysis import units

INK, GREY, GRID = "#333333", "#888888", "#e4e4e4"
HALO = 'stroke="#ffffff" stroke-width="3" paint-order="stroke"'  # keeps a label readable where it crosses a line


def sheet(width: float, height: float, elements: Iterable[str]) -> str:
    """A whole picture on white paper, in user units."""
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">'
    paper = f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>'
    return "\n".join([opening, paper, *elements, "</svg>", ""])


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def text(x: float, y: float, text: str, anchor: str = "start", colour: str = INK, size: int = 12) -> str:
    shown = escape("".join(letter if letter.isprintable() else " " for letter in text))
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} fill="{colour}" font-size="{size}" {HALO}>{shown}</text>'


def polyline(places: Iterable[tuple[float, float]], style: str) -> str:
    """A line through places on paper. style: SVG attributes of its stroke."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{path}" fill="none" {style}/>'


def upright(x: float, y: float, content: str) -> str:
    """Text that reads upwards, centred there."""
    return f'<g transform="translate({x} {y:.1f}) rotate(-90)">{text(0, 0, content, "middle")}</g>'


def ticks(values: list[float], about: int = 7) -> list[float]:
    """Round numbers, evenly spaced, from at or below the smallest value to at or above the largest."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    spread = (high - low) or abs(high) or 1.0
    low, high = low - 0.04 * spread, high + 0.04 * spread
    rough = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(index * step, 12) for index in range(first, last + 1)]


def tick_text(tick: float) -> str:
    return units.short(tick) if abs(tick) >= 10_000 else f"{tick:.6g}"
