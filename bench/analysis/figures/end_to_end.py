"""Whole pipelines: where the time of a video goes, and VBench-2.0 as a radar."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from bench.analysis.figures.style import colour_of, lay_out, shown, styles
from bench.analysis.points import PALETTE, TEACHER_COLOUR

PARTS = {
    "text_s": ("text encoder", TEACHER_COLOUR), "denoise_s": ("denoising", PALETTE[4]),
    "decode_s": ("decoding", PALETTE[1]), "write_s": ("writing the file", PALETTE[3]),
}  # fmt: skip


def parts_figure(table: pd.DataFrame) -> go.Figure:
    """A bar per arm of one run: seconds of each part; what the parts leave of the whole is white space."""
    figure = go.Figure()
    arms = [shown(arm, 24) for arm in table["arm"]]
    for name, (said, colour) in PARTS.items():
        figure.add_trace(go.Bar(
            y=arms, x=table[name], orientation="h", name=said, marker={"color": colour}, hoverinfo="text",
            hovertext=[f"<b>{arm}</b><br>{said}: {value:.4g} s" for arm, value in zip(arms, table[name], strict=True)],
        ))  # fmt: skip
    for arm, row in zip(arms, table.to_dict("records"), strict=True):
        bounds = "" if pd.isna(row["speedup_low"]) else f" [{row['speedup_low']:.2f}, {row['speedup_high']:.2f}]"
        text = "" if pd.isna(row["end_to_end_s"]) else f"{row['end_to_end_s']:.4g} s, {row['speedup']:.2f} x{bounds}"
        end = max(row["end_to_end_s"], sum(row[name] for name in PARTS))  # the parts may be longer than the whole
        figure.add_annotation(x=end, y=arm, text=text, showarrow=False, xanchor="left", xshift=6, font={"size": 11})
    lay_out(figure, 140 + 46 * max(len(arms), 1), barmode="stack")
    figure.update_legends(traceorder="normal")
    figure.update_xaxes(title="seconds per video, median", range=[0, 1.35 * table["end_to_end_s"].max()])
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def radar_figure(table: pd.DataFrame, colours: Mapping[str, str]) -> go.Figure:
    """VBench-2.0 scores of one run, rows of `vbench2.compare`: an axis per dimension, a closed line per arm."""
    figure = go.Figure()
    looks = styles(table["arm"])
    for arm, rows in table.groupby("arm", sort=False):
        axes, scores = [shown(name, 26) for name in rows["name"].str.replace("_", " ")], list(rows["score"])
        figure.add_trace(go.Scatterpolar(
            r=[*scores, *scores[:1]], theta=[*axes, *axes[:1]], mode="lines+markers", name=shown(arm, 40),
            line={"color": colour_of(colours, arm) if str(arm) in colours else looks[str(arm)][0]},
            hovertemplate="%{theta}: %{r:.3f}",
        ))  # fmt: skip
    lay_out(figure, 520)
    axis = {"gridcolor": "#88888866", "linecolor": "#88888866"}
    polar = {"bgcolor": "rgba(0,0,0,0)", "radialaxis": {"range": [0, 1], **axis}, "angularaxis": axis}
    figure.update_layout(polar=polar, margin={"l": 90, "r": 90, "t": 70, "b": 40})
    return figure
