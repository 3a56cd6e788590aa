"""Cost against quality: the front, intervals, teacher, peers and published numbers."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from bench.analysis import units
from bench.analysis.columns import KNOWN, Column
from bench.analysis.figures.style import SYMBOLS, axis_title, colour_of, shown
from bench.analysis.labels import place_labels
from bench.analysis.points import TEACHER_COLOUR, Points, pareto_points, plan_colours

FADED = 0.5  # opacity of a point that another beats in both numbers
DECIBEL_CAP = 100.0  # what the PSNR of identical frames is stored as
PLOT = (820.0, 440.0)  # width and height that labels are placed for, pixels; on a larger plot they are further apart
MOST_MARKS = 1500  # more points than this are drawn by the graphics card
CARD = (
    "label", "plan", "stages", "ratio", "criterion", "phases", "steps", "runtime", "dtype", "seed", "study",
    "speedup", "speedup_low", "speedup_high", "parameters", "macs_per_frame", "peak_memory_mb",
)  # fmt: skip


def pareto_figure(
    summary: pd.DataFrame,
    x: str = "speedup",
    y: str = "psnr_source",
    columns: Mapping[str, Column] = KNOWN,
    colours: Mapping[str, str] | None = None,
    published: pd.DataFrame | None = None,
    chosen: frozenset[str] = frozenset(),
) -> go.Figure:
    """Cost `x` against quality `y`: a colour per plan, interval bars, the front as a line, the rest faded.

    Rows must be of one device and protocol (`ValueError` otherwise). `colours` keeps a plan's colour when rows are
    filtered; by default it is made from the rows. Rows whose `kind` is `baseline` are stars. `published` has columns
    name, x, y, note: hollow marks that no line joins. Runs in `chosen` get a ring. Every mark carries its run id as
    custom data.
    """
    points = pareto_points(summary, x, y, columns)
    colours = {**plan_colours(points.rows["plan"]), **(colours or {})}
    figure = go.Figure(_front_line(points))
    places = _label_places(points)
    symbols = {plan: SYMBOLS[index % len(SYMBOLS)] for index, plan in enumerate(colours)}
    for plan in sorted(points.rows["plan"].unique()):
        style = {"color": colour_of(colours, plan), "symbol": symbols.get(plan, "circle")}
        of_plan = (points.rows["plan"] == plan).to_numpy()
        beaten = ~points.rows["on_front"].to_numpy(dtype=bool)
        for part, opacity in ((of_plan & ~beaten, 1.0), (of_plan & beaten, FADED)):
            if part.any():
                figure.add_trace(_plan_trace(points, part, style, opacity, places))
    _name_each_plan_once(figure)
    if points.teacher:
        figure.add_trace(_teacher_mark(points))
    if published is not None and len(published):
        figure.add_traces(_published_marks(published, points))
    if chosen:
        figure.add_trace(_rings(points, chosen))
    figure.update_layout(
        xaxis={"title": axis_title(points.x), "exponentformat": "SI"},
        yaxis={"title": axis_title(points.y), "exponentformat": "SI"},
        legend={"title": "plan", "orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 60, "r": 20, "t": 50, "b": 60}, height=560, hovermode="closest", clickmode="event+select",
    )  # fmt: skip
    _look_below_the_cap(figure, points)
    return figure


def _label_places(points: Points) -> pd.Series:
    """Where each row's label goes, "" for none: those of the front that find room, best quality first."""
    front, rest = points.rows[points.rows["on_front"]], points.rows[~points.rows["on_front"]]
    numbers = [points.x.name, points.y.name]
    others = rest[numbers].to_numpy(dtype=float)
    if points.teacher:
        others = np.concatenate([others, [points.teacher]])
    texts = [shown(label, 28) for label in front["label"]]
    xs, ys = (front[name].astype(float).tolist() for name in numbers)
    if points.y.unit == "dB":  # the view is cut where an exact copy stands
        keep = [value < DECIBEL_CAP for value in ys]
        front = front[keep]
        xs, ys, texts = ([one for one, kept in zip(many, keep, strict=True) if kept] for many in (xs, ys, texts))
        others = others[others[:, 1] < DECIBEL_CAP]
    found = pd.Series(place_labels(xs, ys, texts, others, PLOT), index=front.index, dtype=object)
    return found.reindex(points.rows.index).fillna("")


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


def _plan_trace(points: Points, part: np.ndarray, style: dict[str, str], opacity: float, places: pd.Series) -> go.Trace:
    """The chosen points of one plan; those whose label found a place carry it."""
    rows, x = points.rows[part], points.rows[part][points.x.name]
    where = places[rows.index]
    bars = {"array": points.high[part] - x, "arrayminus": x - points.low[part], "thickness": 1, "width": 3}
    plan = shown(rows["plan"].iloc[0])
    star = rows["kind"].eq("baseline").to_numpy() if "kind" in rows else np.zeros(len(rows), dtype=bool)
    many = len(points.rows) > MOST_MARKS
    marker: dict[str, object] = {"size": 7 if many else 11, **style}
    if star.any():
        marker |= {"size": np.where(star, 16, 11), "symbol": np.where(star, "star", style["symbol"])}
    cards = _short_cards(rows, points) if many else _hover_cards(rows, points)
    common = {
        "x": x, "y": rows[points.y.name], "name": plan, "legendgroup": plan, "opacity": opacity, "marker": marker,
        "hovertext": cards, "hoverinfo": "text", "customdata": rows["run_id"].astype(str).to_numpy()[:, None],
    }  # fmt: skip
    if many:
        return go.Scattergl(mode="markers", **common)
    texts = [shown(label, 28) if place else "" for label, place in zip(rows["label"], where, strict=True)]
    labelled = any(texts)
    return go.Scatter(
        mode="markers+text" if labelled else "markers", text=texts if labelled else None,
        textposition=[place or "top right" for place in where] if labelled else None, textfont={"size": 11},
        cliponaxis=False, error_x={"color": style["color"], **bars}, **common,
    )  # fmt: skip


def _rings(points: Points, chosen: frozenset[str]) -> go.Scatter:
    """A ring around the runs that were chosen."""
    rows = points.rows[points.rows["run_id"].isin(chosen)]
    return go.Scatter(
        x=rows[points.x.name], y=rows[points.y.name], mode="markers", name="chosen", hoverinfo="skip",
        marker={"size": 20, "symbol": "circle-open", "color": "#888888", "line": {"width": 2}},
    )  # fmt: skip


def _published_marks(published: pd.DataFrame, points: Points) -> list[go.Scatter]:
    """Hollow marks for printed numbers, one legend entry for all."""
    cards = [
        f"<b>{shown(name)}</b><br>{shown(points.x.label)}: {units.axis_value(x, points.x)}"
        f"<br>{shown(points.y.label)}: {units.axis_value(y, points.y)}<br>{shown(note, 200)}"
        for name, x, y, note in published[["name", "x", "y", "note"]].itertuples(index=False, name=None)
    ]
    return [go.Scatter(
        x=published["x"], y=published["y"], mode="markers+text", name="published: other clips and devices",
        text=[shown(name, 28) for name in published["name"]], textposition="bottom center", textfont={"size": 10},
        hovertext=cards, hoverinfo="text", cliponaxis=False,
        marker={"size": 11, "symbol": "diamond-open", "color": TEACHER_COLOUR, "line": {"width": 1.5}},
    )]  # fmt: skip


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


def _hover_cards(rows: pd.DataFrame, points: Points) -> list[str]:
    known = [name for name in dict.fromkeys([*CARD, points.x.name, points.y.name]) if name in rows]
    return [_hover_card(row, points) for row in rows[known].to_dict("records")]


def _short_cards(rows: pd.DataFrame, points: Points) -> list[str]:
    """Label, plan and both numbers: a whole card for each of thousands would be too much for the browser."""
    x, y = html.escape(points.x.label), html.escape(points.y.label)
    plans = {plan: shown(plan) for plan in rows["plan"].unique()}
    numbers = zip(rows["label"], rows["plan"], rows[points.x.name], rows[points.y.name], strict=True)
    return [
        f"<b>{shown(label)}</b><br>{plans[plan]}<br>{x}: {one:.4g}<br>{y}: {two:.4g}"
        for label, plan, one, two in numbers
    ]


def _hover_card(row: dict, points: Points) -> str:
    """Lines of `name: value`; everything that came from a file is escaped."""
    bounds = [None if pd.isna(row.get(name)) else row[name] for name in ("speedup", "speedup_low", "speedup_high")]
    lines = {
        points.x.label: units.axis_value(row[points.x.name], points.x),
        points.y.label: units.axis_value(row[points.y.name], points.y),
        "Speed-up [95 %]": units.interval(*bounds),
        "Plan": f"{row['plan']} ({row['stages']})",
        "Kept channels": _number(row, "ratio", 3),
        "Criterion": row.get("criterion"),
        "Phases": row.get("phases"),
        "Steps": _number(row, "steps", 0),
        "Runtime": " ".join(str(row[name]) for name in ("runtime", "dtype") if _known(row.get(name))),
        "Seed": _number(row, "seed", 0),
        "Parameters": _short(row, "parameters"),
        "MACs per frame": _short(row, "macs_per_frame"),
        "Peak memory": f"{_number(row, 'peak_memory_mb', 0)} MB",
        "Study": row["study"],
    }
    body = [f"{html.escape(name)}: {shown(value, 110)}" for name, value in lines.items() if _known(value)]
    return "<br>".join([f"<b>{shown(row['label'])}</b>", *(line for line in body if not line.endswith(": - MB"))])


def _known(value: object) -> bool:
    return isinstance(value, str) and value not in ("", units.NOTHING)


def _number(row: dict, name: str, digits: int) -> str:
    value = row.get(name)
    return units.NOTHING if value is None or pd.isna(value) else units.number(value, digits)


def _short(row: dict, name: str) -> str:
    value = row.get(name)
    return units.NOTHING if value is None or pd.isna(value) else units.short(value)
