"""A study's figures: differences from the control as small multiples, and a number over two axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bench.analysis.columns import Column
from bench.analysis.figures.style import SCALE, colour_of, lay_out, shown

ROW = 24  # pixels of a variant


def deltas_figure(
    table: pd.DataFrame, columns: Mapping[str, Column], colours: Mapping[str, str], control: str
) -> go.Figure:
    """A panel per column of `deltas`: a row per variant and corner, its difference from the control, 95 % interval."""
    names = list(dict.fromkeys(table["column"]))
    rows = list(dict.fromkeys(_row_name(row) for row in table.to_dict("records")))[::-1]
    titles = [_title(columns[name]) for name in names]
    figure = make_subplots(cols=max(len(names), 1), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03)
    for at, name in enumerate(names, start=1):
        mine = table[table["column"] == name].to_dict("records")
        figure.add_trace(
            go.Scatter(
                x=[row["delta"] for row in mine], y=[_row_name(row) for row in mine], mode="markers",
                marker={"size": 9, "color": [colour_of(colours, row["plan"]) for row in mine]},
                error_x={
                    "array": [row["high"] - row["delta"] for row in mine],
                    "arrayminus": [row["delta"] - row["low"] for row in mine], "thickness": 1.5, "width": 3,
                    "color": "#888888",
                },
                hovertext=[_card(row, columns[name], control) for row in mine], hoverinfo="text",
            ),
            row=1, col=at,
        )  # fmt: skip
        figure.add_vline(x=0, line_width=1, line_dash="dot", line_color="#888888", row=1, col=at)
    top = 20 + 17 * max((title.count("<br>") + 1 for title in titles), default=1)
    lay_out(figure, top + 50 + ROW * max(len(rows), 2), legend=False)
    figure.update_layout(margin={"t": top, "b": 40})
    figure.update_yaxes(categoryorder="array", categoryarray=rows, automargin=True)
    figure.update_xaxes(nticks=5, exponentformat="SI")
    figure.update_annotations(font_size=12)
    return figure


def heat_figure(grid: pd.DataFrame, column: Column, rows: str, columns: str) -> go.Figure:
    """The mean of one column over two axes; empty cells were not run. Brighter is better."""
    values = grid.to_numpy(dtype=float)
    texts = [["" if np.isnan(value) else f"{value:.4g}" for value in line] for line in values]
    figure = go.Figure(
        go.Heatmap(
            z=values, x=[shown(name, 30) for name in grid.columns], y=[shown(name, 30) for name in grid.index],
            text=texts, texttemplate="%{text}", colorscale=SCALE, reversescale=not column.higher_is_better,
            xgap=2, ygap=2, hoverongaps=False, colorbar={"title": shown(column.unit)},
            hovertemplate="%{y}, %{x}: %{z:.5g}<extra></extra>",
        )
    )  # fmt: skip
    lay_out(figure, 140 + 34 * max(len(grid), 2), legend=False)
    figure.update_xaxes(title=shown(columns), type="category", automargin=True)
    figure.update_yaxes(title=shown(rows), type="category", autorange="reversed", automargin=True)
    return figure


def _title(column: Column) -> str:
    words, lines = shown(f"{column.label} ({column.unit})" if column.unit else column.label).split(" "), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 18:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(line for line in lines if line)


def _row_name(row: dict) -> str:
    return shown(f"{row['variant']} {row['corner']}".strip(), 44)


def _card(row: dict, column: Column, control: str) -> str:
    bounds = "" if np.isnan(row["low"]) else f" [{row['low']:+.4g}, {row['high']:+.4g}]"
    pairs = f"{row['seeds']} seed(s), {row['clips']} clip(s) each" if row["paired"] else "not paired"
    return "<br>".join([
        f"<b>{_row_name(row)}</b>", f"{shown(column.title)}: {row['value']:.5g}",
        f"{shown(control)}: {row['control']:.5g}", f"difference {row['delta']:+.4g}{bounds}", pairs,
    ])  # fmt: skip


def arms_figure(table: pd.DataFrame, colours: Mapping[str, str], decoders: Mapping[str, str]) -> go.Figure:
    """Times as fast as the baseline, a row per arm of `arms.compare` of one run; `decoders`: each arm's decoder."""
    rows = table[table["ratio"].notna()].to_dict("records")
    figure = go.Figure(
        go.Scatter(
            x=[row["ratio"] for row in rows], y=[shown(row["arm"], 40) for row in rows], mode="markers+text",
            text=[f"{row['ratio']:.3g}" for row in rows], textposition="top center", textfont={"size": 11},
            marker={
                "size": 11, "color": [colour_of(colours, decoders.get(row["arm"])) for row in rows],
                "symbol": ["circle" if row["accepted"] else "circle-open" for row in rows],
            },
            error_x={
                "array": [row["ratio_high"] - row["ratio"] for row in rows],
                "arrayminus": [row["ratio"] - row["ratio_low"] for row in rows], "thickness": 1.5, "width": 3,
                "color": "#888888",
            },
            hovertext=[f"<b>{shown(row['arm'])}</b><br>{1e3 * row['decode_s']:.4g} ms, {row['fps']:.4g} frame/s<br>"
                       f"decoder {shown(decoders.get(row['arm'], ''))}" for row in rows], hoverinfo="text",
        )
    )  # fmt: skip
    lay_out(figure, 120 + 44 * max(len(rows), 2), legend=False)
    figure.update_xaxes(title="times as fast as the baseline", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure
