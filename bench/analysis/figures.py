"""Interactive figures: a summary in, a plotly figure out. Needs plotly; the rest of the package does not."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from bench.analysis import units
from bench.analysis.columns import KNOWN, Column
from bench.analysis.points import TEACHER_COLOUR, Points, pareto_points, plan_colours

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "hexagon")
FADED = 0.5  # opacity of a point that another beats in both numbers
DECIBEL_CAP = 100.0  # what the PSNR of identical frames is stored as
LABELLED_AT_MOST = 14  # more labels on the front than this would cover each other


def pareto_figure(
    summary: pd.DataFrame,
    x: str = "speedup",
    y: str = "psnr_source",
    columns: Mapping[str, Column] = KNOWN,
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """Cost `x` against quality `y`: a colour per plan, interval bars, the front as a line, the rest faded.

    Rows must be of one device and protocol (`ValueError` otherwise). `colours` keeps a plan's colour when rows are
    filtered; by default it is made from the rows. Text from stored files is escaped: it cannot become markup.
    """
    points = pareto_points(summary, x, y, columns)
    colours = {**plan_colours(points.rows["plan"]), **(colours or {})}
    figure = go.Figure(_front_line(points))
    for plan in sorted(points.rows["plan"].unique()):
        style = {"color": colours[plan], "symbol": SYMBOLS[list(colours).index(plan) % len(SYMBOLS)]}
        of_plan = (points.rows["plan"] == plan).to_numpy()
        beaten = ~points.rows["on_front"].to_numpy(dtype=bool)
        for chosen, opacity in ((of_plan & ~beaten, 1.0), (of_plan & beaten, FADED)):
            if chosen.any():
                figure.add_trace(_plan_trace(points, chosen, style, opacity))
    _name_each_plan_once(figure)
    if points.teacher:
        figure.add_trace(_teacher_mark(points))
    figure.update_layout(
        xaxis={"title": _axis_title(points.x), "exponentformat": "SI"}, yaxis_title=_axis_title(points.y),
        legend={"title": "plan", "orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 60, "r": 20, "t": 50, "b": 60}, height=560, hovermode="closest",
    )  # fmt: skip
    _look_below_the_cap(figure, points)
    return figure


def _look_below_the_cap(figure: go.Figure, points: Points) -> None:
    """Where an exact copy sits at the decibel cap, start with the view on the others and say what is above it."""
    y = points.rows[points.y.name].astype(float)
    others = y[y < DECIBEL_CAP]
    if points.y.unit != "dB" or len(others) < 2 or len(others) == len(y):
        return
    margin = 0.08 * (others.max() - others.min()) + 0.5
    figure.update_yaxes(range=[others.min() - margin, others.max() + margin])
    exact = ", ".join(points.rows.loc[y >= DECIBEL_CAP, "label"])
    figure.add_annotation(
        text=html.escape(f"above this view, identical to the reference: {exact}"),
        xref="paper", yref="paper", x=1, y=1, xanchor="right", yanchor="top", showarrow=False,
    )  # fmt: skip


def _plan_trace(points: Points, chosen: np.ndarray, style: dict[str, str], opacity: float) -> go.Scatter:
    """The chosen points of one plan; those on the front carry their label."""
    rows, x = points.rows[chosen], points.rows[chosen][points.x.name]
    labelled = opacity == 1.0 and len(points.front) <= LABELLED_AT_MOST
    above = "top right" if points.x.higher_is_better == points.y.higher_is_better else "top left"
    bars = {"array": points.high[chosen] - x, "arrayminus": x - points.low[chosen], "thickness": 1, "width": 3}
    plan = html.escape(rows["plan"].iloc[0])
    return go.Scatter(
        x=x, y=rows[points.y.name], name=plan, legendgroup=plan, opacity=opacity,
        mode="markers+text" if labelled else "markers",
        text=rows["label"].map(html.escape), textposition=above, textfont={"size": 11},
        hovertext=[_hover_card(row, points) for row in rows.to_dict("records")], hoverinfo="text", cliponaxis=False,
        marker={"size": 11, **style}, error_x={"color": style["color"], **bars},
    )  # fmt: skip


def _name_each_plan_once(figure: go.Figure) -> None:
    """One legend entry per plan, although its beaten points are a trace of their own."""
    named = set()
    for trace in figure.data:
        trace.showlegend = trace.name not in named
        named.add(trace.name)


def _front_line(points: Points) -> go.Scatter:
    front = points.front
    return go.Scatter(
        x=front[points.x.name], y=front[points.y.name], mode="lines", name="front", hoverinfo="skip",
        line={"color": TEACHER_COLOUR, "width": 1.5, "dash": "dot"},
    )  # fmt: skip


def _teacher_mark(points: Points) -> go.Scatter:
    x, y = points.teacher or (None, None)
    shown = [f"{column.label}: {units.axis_value(value, column)}" for column, value in ((points.x, x), (points.y, y))]
    text = "<br>".join(["<b>teacher</b>", *map(html.escape, shown)])
    return go.Scatter(
        x=[x], y=[y], mode="markers", name="teacher, timed alongside", hovertext=[text], hoverinfo="text",
        marker={"size": 16, "symbol": "star", "color": TEACHER_COLOUR, "line": {"width": 1, "color": "white"}},
    )  # fmt: skip


def _hover_card(row: dict, points: Points) -> str:
    """Lines of `name: value`; everything that came from a file is escaped."""
    bounds = [None if pd.isna(row.get(name)) else row[name] for name in ("speedup", "speedup_low", "speedup_high")]
    lines = {
        points.x.label: units.axis_value(row[points.x.name], points.x),
        points.y.label: units.axis_value(row[points.y.name], points.y),
        "Speed-up [95 %]": units.interval(*bounds),
        "Plan": f"{row['plan']} ({row['stages']})",
        "Kept channels": units.number(row["ratio"], 3),
        "Criterion": row["criterion"],
        "Phases": row["phases"],
        "Parameters": units.short(row.get("parameters")),
        "MACs per frame": units.short(row.get("macs_per_frame")),
        "Study": row["study"],
    }
    body = [f"{html.escape(name)}: {html.escape(str(value))}" for name, value in lines.items()]
    return "<br>".join([f"<b>{html.escape(str(row['label']))}</b>", *body])


def _axis_title(column: Column) -> str:
    better = "higher is better" if column.higher_is_better else "lower is better"
    return f"{html.escape(column.title)}, {better}"
