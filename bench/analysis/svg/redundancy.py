"""The redundancy picture: how much of every site's variance its first k channels rebuild, a curve per ranking."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.analysis.points import PALETTE, TEACHER_COLOUR
from bench.analysis.redundancy import OURS, curves
from bench.analysis.results import Results
from bench.analysis.svg.paper import GRID, line, polyline, sheet, text, upright

SHOWN = {  # ranking: how its curve is drawn, the bound first so that it lies below the others
    "pca": f'stroke="{TEACHER_COLOUR}" stroke-width="1.5" stroke-dasharray="4 3"',
    "random": f'stroke="{PALETTE[5]}" stroke-width="1.5"',
    "magnitude": f'stroke="{PALETTE[1]}" stroke-width="1.5"',
    "activation": f'stroke="{PALETTE[2]}" stroke-width="1.5"',
    OURS: f'stroke="{PALETTE[0]}" stroke-width="2"',
}
NAMES = {"pca": "bound (PCA)", OURS: "independence"}
ACROSS = 5  # panels in a row
SIDE, GAP, GAP_BELOW = 150, 26, 38  # of a panel, in user units
LEFT, TOP, BOTTOM = 70, 64, 56


def redundancy_svg(results: Results) -> str:
    """Curves of one run of the redundancy task as SVG text: a panel per site, both axes from 0 to 1."""
    rows = curves(results)
    sites = sorted(set(rows["stage"]))
    panels = [element for i, site in enumerate(sites) for element in _panel(rows[rows["stage"] == site], site, i)]
    down = -(-len(sites) // ACROSS)
    width = LEFT + min(len(sites), ACROSS) * (SIDE + GAP)
    height = TOP + down * (SIDE + GAP_BELOW) - GAP_BELOW + BOTTOM
    x_title, y_title = "share of the site's channels kept", "share of variance that they rebuild (R²)"
    titles = [
        text((LEFT + width) / 2, height - 14, x_title, "middle"),
        upright(22, (TOP + height - BOTTOM) / 2, y_title),
    ]
    return sheet(width, height, [*_legend(set(rows["arm"])), *panels, *titles])


def _panel(rows: pd.DataFrame, site: str, index: int) -> Iterator[str]:
    left, top = LEFT + index % ACROSS * (SIDE + GAP), TOP + index // ACROSS * (SIDE + GAP_BELOW)
    for tick in (0, 0.5, 1):
        yield line(left + tick * SIDE, top, left + tick * SIDE, top + SIDE, GRID)
        yield line(left, top + tick * SIDE, left + SIDE, top + tick * SIDE, GRID)
        yield text(left + tick * SIDE, top + SIDE + 12, f"{tick:g}", "middle", size=9)
        yield text(left - 4, top + (1 - tick) * SIDE + 3, f"{tick:g}", "end", size=9)
    yield text(left + SIDE / 2, top - 4, f"{site}, {rows['repeat'].max()} channels", "middle", size=10)
    for arm, style in SHOWN.items():
        curve = rows[rows["arm"] == arm].sort_values("share")
        if len(curve):
            yield polyline(zip(left + curve["share"] * SIDE, top + (1 - curve["value"]) * SIDE, strict=True), style)


def _legend(arms: set[str]) -> Iterator[str]:
    at = float(LEFT)
    for arm, style in SHOWN.items():
        if arm in arms:
            name = NAMES.get(arm, arm)
            yield f'<g transform="translate({at:.1f} 0)"><path d="M-4 26H18" {style}/>{text(24, 30, name)}</g>'
            at += 48 + 6.4 * len(name)
