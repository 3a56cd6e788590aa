"""Training curves, weights over time, and quality against steps."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bench.analysis.columns import Column
from bench.analysis.figures.style import axis_title, lay_out, shown, stage_colours, styles

MOST_POINTS = 1500  # of one curve; more are thinned evenly


def curves_figure(table: pd.DataFrame, title: str, smooth: int = 1, log: bool = False) -> go.Figure:
    """One curve per run over all its phases, of rows of `training.curves` with one value per run, phase and step.

    `smooth` is the window of a running mean, in stored points; the phases' borders are where the line breaks.
    """
    figure = go.Figure()
    looks = styles(f"{label} {run}" for run, label in _runs(table))
    for run, label in _runs(table):
        colour, dash = looks[f"{label} {run}"]
        for at, (phase, rows) in enumerate(table[table["run_id"] == run].groupby("phase", sort=False)):
            rows = _thinned(rows.sort_values("step").assign(value=_smooth(rows.sort_values("step")["value"], smooth)))
            figure.add_trace(go.Scatter(
                x=rows["step"], y=rows["value"], mode="lines", name=shown(label, 40), legendgroup=run,
                showlegend=at == 0, line={"color": colour, "dash": dash, "width": 1.6}, hoverinfo="text",
                hovertext=[f"<b>{shown(label)}</b><br>{shown(phase)}, step {step}: {value:.4g}"
                           for step, value in zip(rows["step"], rows["value"], strict=True)],
            ))  # fmt: skip
    lay_out(figure, 420)
    figure.update_xaxes(title="training step, all phases")
    figure.update_yaxes(title=shown(title), type="log" if log else "linear")
    return figure


def terms_figure(table: pd.DataFrame, title: str) -> go.Figure:
    """A panel per run, a curve per term, for rows of `training.curves`."""
    runs = _runs(table)
    figure = make_subplots(
        cols=max(len(runs), 1), shared_yaxes=True, subplot_titles=[shown(label, 30) for _, label in runs],
        horizontal_spacing=0.03,
    )  # fmt: skip
    terms = list(dict.fromkeys(table["term"]))
    colours = stage_colours(terms) if any(term in ("mid", "up0") for term in terms) else None
    looks = styles(terms)
    for at, (run, _) in enumerate(runs, start=1):
        for term in terms:
            rows = _thinned(table[(table["run_id"] == run) & (table["term"] == term)].sort_values("step"))
            colour = colours[term] if colours else looks[term][0]
            figure.add_trace(go.Scatter(
                x=rows["step"], y=rows["value"], mode="lines", name=shown(term), legendgroup=shown(term),
                showlegend=at == 1,
                line={"color": colour, "dash": looks[term][1], "width": 1.6}, hoverinfo="text",
                hovertext=[f"<b>{shown(term)}</b><br>step {step}: {value:.4g}"
                           for step, value in zip(rows["step"], rows["value"], strict=True)],
            ), row=1, col=at)  # fmt: skip
    lay_out(figure, 380)
    figure.update_layout(margin={"t": 80})
    figure.update_legends(y=1.12)
    figure.update_xaxes(title="training step")
    figure.update_yaxes(title=shown(title), col=1)
    return figure


def budget_figure(table: pd.DataFrame, column: Column, colours: Mapping[str, str]) -> go.Figure:
    """Quality against steps, a line per curve of `training.budget`, bars from the lowest to the highest run."""
    figure = go.Figure()
    looks = styles(table["curve"])
    for name, rows in table.groupby("curve", sort=False):
        colour, dash = looks[str(name)]
        figure.add_trace(go.Scatter(
            x=rows["steps"], y=rows["value"], mode="lines+markers", name=shown(name),
            line={"color": colour, "dash": dash},
            marker={"size": 9}, hoverinfo="text",
            error_y={"array": rows["high"] - rows["value"], "arrayminus": rows["value"] - rows["low"], "thickness": 1},
            hovertext=[f"<b>{shown(name)}</b><br>{row['steps']:g} steps: {row['value']:.4g} {shown(column.unit)} "
                       f"({row['low']:.4g} to {row['high']:.4g}, {row['runs']} runs)"
                       for row in rows.to_dict("records")],
        ))  # fmt: skip
    lay_out(figure, 420)
    figure.update_xaxes(title="training steps", type="log", tickvals=sorted(set(table["steps"])), tickformat="d")
    figure.update_yaxes(title=axis_title(column))
    return figure


def _runs(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(table[["run_id", "label"]].drop_duplicates().itertuples(index=False, name=None))


def _smooth(values: pd.Series, window: int) -> pd.Series:
    return values.rolling(window, min_periods=1, center=True).mean() if window > 1 else values


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.iloc[:: -(-len(rows) // MOST_POINTS)] if len(rows) > MOST_POINTS else rows
