"""Two pictures of the stages task: where a decode's time goes, and how near each stage is to the machine's bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from bench.analysis import units
from bench.analysis.points import PALETTE, TEACHER_COLOUR
from bench.analysis.results import Results
from bench.analysis.stages import stages
from bench.analysis.svg.paper import GREY, GRID, INK, line, polyline, sheet, text, upright

WIDTH, LEFT, TOP = 760, 120, 70
BAR, GAP = 30, 34  # height of a bar and the room below it
HEIGHT, BELOW = 420, 60  # of the roofline picture


def stages_svg(results: Results) -> str:
    """A bar per arm of one run, each as long as its own decode: stages in order, their convolutions in full colour."""
    table = stages(results)
    colours = _colours(table)
    arms = list(table["arm"].drop_duplicates())
    bars = [
        part for i, arm in enumerate(arms) for part in _bar(table[table["arm"] == arm], TOP + i * (BAR + GAP), colours)
    ]
    height = TOP + len(arms) * (BAR + GAP) + 16
    note = "share of each decoder's own time; full colour: convolutions, faded: everything else"
    return sheet(WIDTH, height, [*_legend(colours), *bars, text(LEFT, height - 12, note, colour=GREY, size=11)])


def _bar(rows: pd.DataFrame, top: float, colours: dict[str, str]) -> Iterator[str]:
    arm, total = rows["arm"].iloc[0], rows["seconds"].sum()
    yield text(LEFT - 8, top + BAR / 2 + 4, arm, "end")
    at, room = float(LEFT), WIDTH - LEFT - 24
    for row in rows.to_dict("records"):
        width = room * row["seconds"] / total
        full = width * row["convolution_s"] / row["seconds"]
        style = f'y="{top}" height="{BAR}" fill="{colours[row["stage"]]}"'
        yield f'<rect x="{at:.1f}" width="{full:.1f}" {style}/>'
        yield f'<rect x="{at + full:.1f}" width="{width - full:.1f}" {style} opacity="0.4"/>'
        if width > 34:
            yield text(at + width / 2, top + BAR + 14, f"{row['share']:.0%}", "middle", GREY, 11)
        at += width
    convolutions = rows["convolution_s"].sum() / total
    yield text(LEFT, top - 5, f"{1e3 * total:.4g} ms, {convolutions:.0%} of it convolutions", colour=GREY, size=11)


def _colours(table: pd.DataFrame) -> dict[str, str]:
    """A colour per stage; entry and head, which take little, are grey."""
    colours = iter(PALETTE)
    names = table["stage"].drop_duplicates()
    return {name: TEACHER_COLOUR if name in ("entry", "head") else next(colours, INK) for name in names}


def _legend(colours: dict[str, str]) -> Iterator[str]:
    at = float(LEFT)
    for name, colour in colours.items():
        yield f'<rect x="{at:.1f}" y="16" width="12" height="12" fill="{colour}"/>{text(at + 17, 26, name)}'
        at += 34 + 7.5 * len(name)


def roofline_svg(results: Results) -> str:
    """Arithmetic per byte against arithmetic per second, both logarithmic: a mark per arm and stage below the roof that
    the rates of the same run draw.
    """
    table = stages(results)
    table = table.assign(intensity=table["flops"] / table["bytes"], rate=table["flops"] / table["seconds"])
    peak, traffic = table["matmul_flops"].max(), table["copy_bytes"].max()
    knee = peak / traffic
    low_x, high_x = _decades([*table["intensity"], knee])
    low_y, high_y = _decades([*table["rate"], peak])

    def place(intensity: float, rate: float) -> tuple[float, float]:
        x = (math.log10(intensity) - low_x) / (high_x - low_x)
        y = (math.log10(rate) - low_y) / (high_y - low_y)
        return LEFT + x * (WIDTH - LEFT - 24), HEIGHT - BELOW - y * (HEIGHT - BELOW - TOP)

    parts = [*_grid(low_x, high_x, low_y, high_y, place)]
    start = max(10.0**low_x, 10.0**low_y / traffic)
    roof = [place(start, start * traffic), place(knee, peak), place(10.0**high_x, peak)]
    parts.append(polyline(roof, f'stroke="{INK}" stroke-width="1.5"'))
    for i, arm in enumerate(table["arm"].drop_duplicates()):
        colour = PALETTE[i % len(PALETTE)]
        parts.append(f'<circle cx="{LEFT + 150 * i + 5}" cy="22" r="5" fill="{colour}"/>')
        parts.append(text(LEFT + 150 * i + 15, 26, arm))
        for row in table[table["arm"] == arm].to_dict("records"):
            x, y = place(row["intensity"], row["rate"])
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>')
            parts.append(text(x + 8, y + 4, row["stage"], size=10))
    parts.append(text((LEFT + WIDTH) / 2, HEIGHT - 14, "arithmetic per byte that must be moved (FLOP/byte)", "middle"))
    parts.append(upright(24, (TOP + HEIGHT - BELOW) / 2, "arithmetic per second (FLOP/s)"))
    return sheet(WIDTH, HEIGHT, parts)


def _decades(values: list[float]) -> tuple[int, int]:
    logs = [math.log10(value) for value in values if value > 0]
    return math.floor(min(logs)), math.ceil(max(logs) + 1e-9)


def _grid(low_x, high_x, low_y, high_y, place) -> Iterator[str]:  # type: ignore[no-untyped-def]
    for exponent in range(low_x, high_x + 1):
        x, y = place(10.0**exponent, 10.0**low_y)
        yield line(x, y, x, TOP, GRID)
        yield text(x, y + 16, f"{10.0**exponent:g}", "middle", size=10)
    for exponent in range(low_y, high_y + 1):
        x, y = place(10.0**low_x, 10.0**exponent)
        yield line(x, y, WIDTH - 24, y, GRID)
        yield text(x - 6, y + 4, units.short(10.0**exponent), "end", size=10)
