"""Quality along a clip, frame by frame."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from bench.analysis.figures.pareto import DECIBEL_CAP
from bench.analysis.figures.style import lay_out, shown, styles
from bench.analysis.points import TEACHER_COLOUR


def trace_figure(table: pd.DataFrame, title: str, frame: int | None = None) -> go.Figure:
    """A line per run of rows of `per_frame` of one metric and clip, the teacher's own in grey; `frame` is marked."""
    figure = go.Figure()
    students = table[table["arm"] == "student"]
    looks = styles(students["run_id"])
    for run, rows in students.groupby("run_id", sort=False):
        figure.add_trace(_line(rows, str(rows["label"].iloc[0]), *looks[str(run)]))
    teachers = table[table["arm"] == "teacher"].drop_duplicates(["frame", "value"])
    if len(teachers):
        one = teachers[teachers["run_id"] == teachers["run_id"].iloc[0]]
        figure.add_trace(_line(one, "teacher", TEACHER_COLOUR, "dash"))
    if frame is not None:
        figure.add_vline(x=frame, line_width=1, line_dash="dot", line_color="#888888")
    below = students[students["value"] < DECIBEL_CAP]["value"]
    if (table["unit"] == "dB").all() and 0 < len(below) < len(students):  # an exact copy would flatten the others
        low, high = below.min(), max(below.max(), teachers["value"].max() if len(teachers) else below.max())
        figure.update_yaxes(range=[low - 0.1 * (high - low) - 0.2, high + 0.1 * (high - low) + 0.2])
    lay_out(figure, 340)
    figure.update_xaxes(title="frame")
    figure.update_yaxes(title=shown(title))
    return figure


def _line(rows: pd.DataFrame, name: str, colour: str, dash: str) -> go.Scatter:
    rows = rows.sort_values("frame")
    return go.Scatter(
        x=rows["frame"], y=rows["value"], mode="lines+markers", name=shown(name, 40), hoverinfo="text",
        line={"color": colour, "dash": dash, "width": 1.6}, marker={"size": 5},
        hovertext=[f"<b>{shown(name)}</b><br>frame {frame}: {value:.4g}"
                   for frame, value in zip(rows["frame"], rows["value"], strict=True)],
    )  # fmt: skip
