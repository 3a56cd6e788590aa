"""The Pareto picture: cost against quality, the front, a label at every point that has room for one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from bench.analysis.columns import KNOWN, Column
from bench.analysis.points import TEACHER_COLOUR, Points, pareto_points, plan_colours
from bench.analysis.svg.paper import GREY, GRID, INK, line, polyline, sheet, text, tick_text, ticks, upright

WIDTH, HEIGHT = 860, 520  # of the picture, in user units
LEFT, RIGHT, TOP, BOTTOM = 70, 24, 54, 62  # margins around the axes
CHARACTER, LINE = 6.1, 13.0  # size of a label's character, in user units
DOTTED = f'stroke="{TEACHER_COLOUR}" stroke-width="1.5" stroke-dasharray="2 4"'

Box = tuple[float, float, float, float]  # left, top, right, bottom


def pareto_svg(
    summary: pd.DataFrame, x: str = "speedup", y: str = "psnr_source", columns: Mapping[str, Column] = KNOWN
) -> str:
    """Cost `x` against quality `y` as SVG text: axes, interval bars, the front line, a label at every point.

    Rows must be of one device and protocol (`ValueError` otherwise).
    """
    picture = _Picture(pareto_points(summary, x, y, columns))
    layers = (picture.axes, picture.front, picture.marks, picture.teacher, picture.labels, picture.legend)
    return sheet(WIDTH, HEIGHT, (element for layer in layers for element in layer()))


class _Picture:
    """Places on paper for the points of one picture, and the elements drawn there."""

    def __init__(self, points: Points) -> None:
        self.points = points
        self.rises_left = points.x.higher_is_better == points.y.higher_is_better  # the front falls to the right
        self.colours = plan_colours(points.rows["plan"])
        teacher = [points.teacher] if points.teacher else []
        self.x_ticks = ticks(
            [*points.rows[points.x.name], *_finite(points.low), *_finite(points.high), *(x for x, _ in teacher)]
        )
        self.y_ticks = ticks([*points.rows[points.y.name], *(y for _, y in teacher)])

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Paper coordinates of a data point."""
        across = (x - self.x_ticks[0]) / (self.x_ticks[-1] - self.x_ticks[0])
        up = (y - self.y_ticks[0]) / (self.y_ticks[-1] - self.y_ticks[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def axes(self) -> Iterator[str]:
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        for tick in self.x_ticks:
            at, _ = self.place(tick, self.y_ticks[0])
            yield line(at, TOP, at, bottom, GRID)
            yield text(at, bottom + 18, tick_text(tick), "middle")
        for tick in self.y_ticks:
            _, at = self.place(self.x_ticks[0], tick)
            yield line(LEFT, at, right, at, GRID)
            yield text(LEFT - 8, at + 4, tick_text(tick), "end")
        x_title, y_title = (_axis_title(column) for column in (self.points.x, self.points.y))
        yield text((LEFT + right) / 2, HEIGHT - 16, x_title, "middle")
        yield upright(20, (TOP + bottom) / 2, y_title)

    def front(self) -> Iterator[str]:
        yield polyline([self.place(*point) for point in self._data(self.points.front)], DOTTED)

    def marks(self) -> Iterator[str]:
        rows = self.points.rows
        shown = zip(self._data(rows), rows["plan"], rows["on_front"], self.points.low, self.points.high, strict=True)
        for (x, y), plan, on_front, low, high in shown:
            (at_x, at_y), colour = self.place(x, y), self.colours[plan]
            bar = ""
            if math.isfinite(low) and math.isfinite(high):
                bar = line(self.place(low, y)[0], at_y, self.place(high, y)[0], at_y, colour)
            circle = f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="5.5" fill="{colour}"/>'
            yield f'<g opacity="{1 if on_front else 0.4}">{bar}{circle}</g>'

    def teacher(self) -> Iterator[str]:
        if self.points.teacher:
            yield _star(*self.place(*self.points.teacher))

    def labels(self) -> Iterator[str]:
        """A label per point, front first, each at the first of six places where it covers nothing."""
        rows = self.points.rows.sort_values("on_front", ascending=False, kind="stable")
        places = [self.place(*point) for point in self._data(rows)]
        taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
        for (x, y), label, on_front in zip(places, rows["label"], rows["on_front"], strict=True):
            width = CHARACTER * len(label)
            corners = [(x + 9, y - 5), (x + 9, y + 13), (x - 9 - width, y - 5), (x - 9 - width, y + 13),
                       (x - width / 2, y - 11), (x - width / 2, y + 20)]  # fmt: skip
            corners = corners if self.rises_left else corners[2:] + corners[:2]
            boxes = [(left, base - LINE + 3, left + width, base + 3) for left, base in corners]
            free = [box for box in boxes if _inside(box) and not any(_overlap(box, other) for other in taken)]
            if free:
                taken.append(free[0])
                yield text(free[0][0], free[0][3] - 3, label, "start", INK if on_front else GREY, size=11)

    def legend(self) -> Iterator[str]:
        marks = {
            name: f'<circle cx="8" cy="26" r="5.5" fill="{self.colours[name]}"/>'
            for name in sorted(set(self.points.rows["plan"]))
        }
        if self.points.teacher:
            marks["teacher"] = _star(8, 26)
        marks["front"] = f'<path d="M-4 26H18" {DOTTED}/>'
        at = float(LEFT)
        for name, mark in marks.items():
            yield f'<g transform="translate({at:.1f} 0)">{mark}{text(24, 30, name)}</g>'
            at += 48 + 6.4 * len(name)

    def _data(self, rows: pd.DataFrame) -> list[tuple[float, float]]:
        return list(rows[[self.points.x.name, self.points.y.name]].astype(float).itertuples(index=False, name=None))


def _star(x: float, y: float) -> str:
    corners = [(10 if turn % 2 == 0 else 4.2, math.pi * (turn / 5 - 0.5)) for turn in range(10)]
    path = " ".join(f"{x + r * math.cos(angle):.1f},{y + r * math.sin(angle):.1f}" for r, angle in corners)
    return f'<polygon points="{path}" fill="{TEACHER_COLOUR}" stroke="#ffffff"/>'


def _finite(values: object) -> list[float]:
    return [float(value) for value in values if math.isfinite(value)]  # type: ignore[attr-defined]


def _inside(box: Box) -> bool:
    return box[0] >= LEFT and box[1] >= TOP and box[2] <= WIDTH - 4 and box[3] <= HEIGHT - BOTTOM


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _axis_title(column: Column) -> str:
    return f"{column.title}, {'higher' if column.higher_is_better else 'lower'} is better"
