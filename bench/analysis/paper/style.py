"""How every drawing looks: sizes, fonts, and one colour per decoder, everywhere.

Nothing on paper is smaller than 6 points at the size it is printed. Text from stored files is never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis import units
from bench.analysis.points import PALETTE, TEACHER_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, GRID = "#222222", TEACHER_COLOUR, "#E4E4E4"
QUOTED: dict[str, Any] = {"facecolor": "none", "edgecolor": INK, "linewidth": 0.7}  # what others printed is hollow
LIGHT = 0.35  # opacity of what matters less: time outside convolutions, points that others beat
_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 7, "axes.titlesize": 7,
    "axes.labelsize": 7, "xtick.labelsize": 6, "ytick.labelsize": 6, "legend.fontsize": 6, "figure.dpi": 100,
    "text.parse_math": False, "pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "flash-vaed",
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "axes.edgecolor": INK,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.5, "lines.linewidth": 1.0,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2, "ytick.major.size": 2,
    "xtick.minor.size": 0, "ytick.minor.size": 0, "legend.frameon": False, "legend.handlelength": 1.6,
    "axes.formatter.use_mathtext": False, "axes.unicode_minus": True, "errorbar.capsize": 1.5, "hatch.linewidth": 0.4,
}  # fmt: skip

# A part of the decoder's or arm's name, and its place in the palette; the first that fits counts.
_DECODERS = (
    ("flash", 0), ("student", 0), ("ours", 0), ("light", 1), ("tae", 2), ("turbo", 3), ("pruna", 4),
)  # fmt: skip
_TEACHERS = ("teacher", "wan", "ltx")


@contextmanager
def drawing() -> Iterator[None]:
    """Inside, matplotlib draws in this style; what it was before is restored. `ValueError` without matplotlib."""
    try:
        import matplotlib
    except ImportError as error:
        raise ValueError("drawings need matplotlib: pip install 'flash-vaed[figures]'") from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)  # type: ignore[arg-type]
        yield


def sheet(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure of exactly this size in inches, and its axes, shape (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def decoder_colour(name: str) -> str:
    """The colour of a decoder, of an arm named after it, or of one nobody knows (ink)."""
    lower = name.lower()
    for part, place in _DECODERS:
        if part in lower:
            return PALETTE[place]
    return TEACHER_COLOUR if any(part in lower for part in _TEACHERS) else INK


def plain(words: object, limit: int = 36) -> str:
    """Stored text for a drawing: one line, printable, cut with an ellipsis behind `limit` characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(words))
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def share(kept: float) -> str:
    """`1/8` for 0.125, `0.3` for what is no such part."""
    parts = round(1 / kept) if kept > 0 else 0
    return f"1/{parts}" if parts > 1 and abs(parts * kept - 1) < 1e-6 else f"{kept:g}"


def log_ticks(axis: Any) -> None:
    """Ticks at powers of ten and three times those, written with prefixes: 1 G, not a formula."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(10, subs=(1.0, 3.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    axis.set_minor_formatter(NullFormatter())


def tick(value: float) -> str:
    """`0.3`, `30`, `3 K`, `100 G`."""
    return f"{value:g}" if abs(value) < 1000 else units.short(value).replace(".00 ", " ").replace(".0 ", " ")


def bars_of(value: Any, low: Any, high: Any) -> np.ndarray:
    """Error bars for matplotlib, shape (2, n), from absolute bounds; zero where a bound is not known."""
    value, low, high = (np.atleast_1d(np.asarray(part, dtype=float)) for part in (value, low, high))
    return np.nan_to_num(np.clip(np.stack([value - low, high - value]), 0, None))


def settle(figure: Any) -> None:
    """Lay the figure out, once: what is drawn from here on moves nothing, and every format shows the same."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        figure.draw_without_rendering()
        engine.execute(figure)  # again: ticks have moved
        figure.set_layout_engine("none")


def label_points(axes: Axes, points: list[tuple[float, float, str, str]], size: float = 6.0) -> None:
    """Write labels (x, y, text, colour) beside their points, the first ones first, where they cover nothing.

    A label that finds no free place beside its point is left out: the CSV file has all of them.
    """
    settle(axes.figure)
    written: list[Any] = []
    near = [_around(axes, x, y, 5.0) for x, y, _, _ in points]
    inside = axes.get_window_extent()
    for place, (x, y, words, colour) in enumerate(points):
        others = [*written, *near[:place], *near[place + 1 :]]
        for dx, dy, across, up in (
            (4, 3, "left", "bottom"), (-4, 3, "right", "bottom"), (4, -3, "left", "top"), (-4, -3, "right", "top"),
            (0, 5, "center", "bottom"), (0, -5, "center", "top"), (5, 0, "left", "center"), (-5, 0, "right", "center"),
        ):  # fmt: skip
            mark = axes.annotate(
                plain(words, 28), (x, y), (dx, dy), textcoords="offset points", ha=across, va=up, color=colour,
                fontsize=size,
            )  # fmt: skip
            mark.set_in_layout(False)
            box = mark.get_window_extent()
            fits = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if fits and not any(box.overlaps(other) for other in others):
                written.append(box)
                break
            mark.remove()


def _around(axes: Axes, x: float, y: float, radius: float) -> Any:
    """The box of a mark of this radius in points."""
    from matplotlib.transforms import Bbox

    across, up = axes.transData.transform((x, y))
    reach = radius * axes.figure.dpi / 72
    return Bbox([[across - reach, up - reach], [across + reach, up + reach]])
