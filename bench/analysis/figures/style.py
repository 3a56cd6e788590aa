"""What all figures share: escaped text, one colour per name, axes and margins."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

import plotly.graph_objects as go

from bench.analysis.columns import Column
from bench.analysis.points import PALETTE, TEACHER_COLOUR

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
LONGEST = 60  # characters of stored text in a figure
SCALE = "Cividis"  # of heat maps; even in lightness and for colour-blind eyes


def shown(text: object, longest: int = LONGEST) -> str:
    """Stored text for a figure: cut, without control characters, and escaped."""
    plain = str(text)[: longest + 1]
    if not plain.isprintable():
        plain = "".join(letter if letter.isprintable() else " " for letter in plain)
    return html.escape(plain if len(plain) <= longest else plain[: longest - 1] + "…")


def axis_title(column: Column) -> str:
    """Label, unit and direction."""
    better = "higher is better" if column.higher_is_better else "lower is better"
    return f"{shown(column.title)}, {better}"


def styles(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(colour, dash) per name in the order given: colours first, then the same colours with another dash."""
    found = {}
    for index, name in enumerate(dict.fromkeys(names)):
        found[name] = (PALETTE[index % len(PALETTE)], DASHES[index // len(PALETTE) % len(DASHES)])
    return found


def stage_colours(stages: Iterable[str]) -> dict[str, str]:
    """A colour per stage in the order given; entry and head, which take little, are grey."""
    names = list(dict.fromkeys(stages))
    inner = [name for name in names if name not in ("entry", "head")]
    colours = {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(inner)}
    return {name: colours.get(name, TEACHER_COLOUR) for name in names}


def lay_out(figure: go.Figure, height: int, legend: bool = True, **more: object) -> go.Figure:
    """Margins, height and a legend above the plot."""
    figure.update_layout(
        height=height, margin={"l": 60, "r": 20, "t": 60 if legend else 40, "b": 60}, showlegend=legend,
        hovermode="closest", legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": None}, **more,
    )  # fmt: skip
    return figure


def colour_of(colours: Mapping[str, str], name: object) -> str:
    """The colour of a plan or decoder, grey for an unknown one."""
    return colours.get(str(name), TEACHER_COLOUR)
