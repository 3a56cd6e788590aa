"""A decoder's figures: its stages as boxes, their time, the roofline, and what each site's channels rebuild."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bench.analysis import units
from bench.analysis.figures.style import SYMBOLS, lay_out, shown, stage_colours
from bench.analysis.labels import place_labels
from bench.analysis.points import PALETTE, TEACHER_COLOUR

MEASURES = {
    "seconds": "time", "macs_per_frame": "multiply-accumulates per frame", "parameters": "parameters",
    "min_bytes_per_frame": "least memory traffic per frame",
}  # fmt: skip
RANKINGS = {"pca": ("bound (PCA)", TEACHER_COLOUR, "dash"), "independence, none": ("independence", PALETTE[0], "solid")}
ACROSS = 5  # redundancy panels in a row


def decoder_figure(table: pd.DataFrame, measure: str, ink: str = "#222222") -> go.Figure:
    """Arms as rows of stages, left to right as they run: what each stage is and costs, written in `ink`; stronger boxes
    take a larger share of their own decoder's `measure`, a key of `MEASURES`.
    """
    stages, arms = list(dict.fromkeys(table["stage"])), list(dict.fromkeys(table["arm"]))
    totals = table.groupby("arm")[measure].transform("sum")
    rows = table.assign(portion=table[measure] / totals).to_dict("records")
    figure = go.Figure()
    colours = stage_colours(stages)
    for row in rows:
        across, down = stages.index(row["stage"]), arms.index(row["arm"])
        portion = 0.0 if pd.isna(row["portion"]) else float(row["portion"])
        figure.add_shape(
            type="rect", x0=across - 0.46, x1=across + 0.46, y0=down - 0.44, y1=down + 0.44, layer="below",
            line={"color": colours[row["stage"]], "width": 1.5}, fillcolor=colours[row["stage"]],
            opacity=0.1 + 0.5 * min(portion / 0.6, 1.0),
        )  # fmt: skip
        figure.add_annotation(x=across, y=down, text=_box(row), showarrow=False, font={"size": 11, "color": ink})
    figure.add_trace(
        go.Scatter(
            x=[stages.index(row["stage"]) for row in rows], y=[arms.index(row["arm"]) for row in rows], mode="markers",
            marker={"size": 40, "opacity": 0}, hovertext=[_card(row, measure) for row in rows], hoverinfo="text",
        )
    )  # fmt: skip
    lay_out(figure, 60 + 130 * max(len(arms), 1), legend=False)
    figure.update_layout(margin={"t": 30, "b": 10})
    figure.update_xaxes(
        tickvals=list(range(len(stages))), ticktext=[f"<b>{shown(name, 14)}</b>" for name in stages], side="top",
        showgrid=False, zeroline=False, range=[-0.6, len(stages) - 0.4],
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(arms))), ticktext=[_arm_name(table, name) for name in arms], autorange=False,
        range=[len(arms) - 0.45, -0.55], showgrid=False, zeroline=False, automargin=True,
    )  # fmt: skip
    return figure


def _arm_name(table: pd.DataFrame, arm: str) -> str:
    """The arm, and below it which decoder that is where this is known."""
    decoder = table[table["arm"] == arm]["decoder"].iloc[0]
    name = shown(arm, 18)
    return f"{name}<br>({shown(decoder, 18)})" if decoder and decoder != arm else name


def _box(row: dict) -> str:
    lines = [shown(row["operator"], 17) if row["operator"] else "", shown(row["width"], 20) if row["width"] else ""]
    lines.append(f"{_short(row['macs_per_frame'])} MACs")
    if not pd.isna(row["seconds"]):
        lines.append(f"{duration(row['seconds'])}, {row['convolution_share']:.0%} conv")
    else:
        lines.append(f"{_short(row['parameters'])} params")
    lines.append(f"{_short(row['min_bytes_per_frame'])}B per frame")
    return "<br>".join(line for line in lines if line)


def duration(seconds: float) -> str:
    """`1.10 s` or `23.4 ms`."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _card(row: dict, measure: str) -> str:
    portion = "" if pd.isna(row["portion"]) else f"{row['portion']:.1%} of this decoder's {MEASURES[measure]}"
    lines = [f"<b>{shown(row['arm'])}, {shown(row['stage'])}</b>", shown(row["operator"]), shown(row["width"]),
             f"{_short(row['parameters'])} parameters", portion]  # fmt: skip
    return "<br>".join(line for line in lines if line)


def stage_bars_figure(table: pd.DataFrame) -> go.Figure:
    """A bar per arm, each as long as its own decode: stages in order, convolutions in full colour, the rest faded."""
    timed = table[table["seconds"].notna()]
    colours, arms = stage_colours(timed["stage"]), list(dict.fromkeys(timed["arm"]))
    figure = go.Figure()
    for stage, rows in timed.groupby("stage", sort=False):
        share = rows["seconds"] / rows["arm"].map(timed.groupby("arm")["seconds"].sum())
        for part, opacity, said in ((rows["convolution_share"], 1.0, "convolutions"),
                                    (1 - rows["convolution_share"], 0.4, "the rest")):  # fmt: skip
            figure.add_trace(go.Bar(
                y=[shown(arm, 24) for arm in rows["arm"]], x=share * part, orientation="h", opacity=opacity,
                name=shown(stage), legendgroup=shown(stage), showlegend=opacity == 1.0,
                marker={"color": colours[str(stage)]}, hoverinfo="text",
                hovertext=[f"<b>{shown(stage)}</b>, {said}: {duration(seconds * piece)}, {total:.1%}"
                           for seconds, piece, total in zip(rows["seconds"], part, share * part, strict=True)],
            ))  # fmt: skip
    lay_out(figure, 130 + 44 * len(arms), barmode="stack")
    figure.update_xaxes(title="share of the decoder's own time", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def roofline_figure(table: pd.DataFrame) -> go.Figure:
    """Arithmetic per byte against arithmetic per second below the roof of the run's own matrix and copy rates.

    `table` is that of `bench.analysis.stages.stages`, of one run.
    """
    table = table.assign(intensity=table["flops"] / table["bytes"], rate=table["flops"] / table["seconds"])
    table = table[np.isfinite(table["intensity"]) & (table["rate"] > 0) & (table["intensity"] > 0)]
    figure = go.Figure()
    peak, traffic = table["matmul_flops"].max(), table["copy_bytes"].max()
    if len(table) and np.isfinite([peak, traffic]).all():
        knee = peak / traffic
        ends = [min(table["intensity"].min(), knee) / 2, knee, max(table["intensity"].max(), knee) * 2]
        figure.add_trace(go.Scatter(
            x=ends, y=[ends[0] * traffic, peak, peak], mode="lines", name="what the machine did by itself",
            hoverinfo="skip", line={"color": TEACHER_COLOUR, "width": 2},
        ))  # fmt: skip
    places = place_labels(
        np.log10(table["intensity"]), np.log10(table["rate"]), list(table["stage"]), np.empty((0, 2)), (760, 360)
    )
    table = table.assign(place=places)
    for index, (arm, rows) in enumerate(table.groupby("arm", sort=False)):
        figure.add_trace(go.Scatter(
            x=rows["intensity"], y=rows["rate"], mode="markers+text", name=shown(arm),
            text=[shown(stage) if place else "" for stage, place in zip(rows["stage"], rows["place"], strict=True)],
            textposition=[place or "top right" for place in rows["place"]], textfont={"size": 11}, cliponaxis=False,
            marker={"size": 11, "color": PALETTE[index % len(PALETTE)], "symbol": SYMBOLS[index % len(SYMBOLS)]},
            hoverinfo="text", hovertext=[
                f"<b>{shown(arm)}, {shown(row['stage'])}</b><br>{units.short(row['rate'])}FLOP/s, "
                f"{row['roofline']:.0%} of the bound" for row in rows.to_dict("records")],
        ))  # fmt: skip
    lay_out(figure, 480)
    across, up = (_ticks(table[name]) for name in ("intensity", "rate"))
    figure.update_xaxes(type="log", title="arithmetic per byte that must be moved (FLOP/byte)", **across)
    figure.update_yaxes(type="log", title="arithmetic per second (FLOP/s)", **up)
    return figure


def _ticks(values: pd.Series) -> dict[str, list]:
    """Ticks at 1, 2 and 5 of every decade that the values touch, written with a prefix."""
    if values.empty:
        return {}
    low, high = int(np.floor(np.log10(values.min()))), int(np.ceil(np.log10(values.max())))
    marks = [step * 10.0**decade for decade in range(low - 1, high + 1) for step in (1, 2, 5)]
    return {"tickvals": marks, "ticktext": [units.short(mark) for mark in marks]}


def redundancy_figure(curves: pd.DataFrame) -> go.Figure:
    """A panel per site: share of variance that the first channels of a ranking rebuild, against the share kept."""
    sites, arms = sorted(set(curves["stage"])), list(dict.fromkeys(curves["arm"]))
    across = min(ACROSS, max(len(sites), 1))
    down = -(-len(sites) // across) or 1
    figure = make_subplots(
        rows=down, cols=across, subplot_titles=[shown(site, 22) for site in sites], shared_xaxes=True,
        shared_yaxes=True, horizontal_spacing=0.02, vertical_spacing=min(0.09, 0.5 / down),
    )  # fmt: skip
    others = [arm for arm in arms if arm not in RANKINGS]
    looks = RANKINGS | {arm: (arm, PALETTE[1 + at % 5], "dot" if at > 4 else "solid") for at, arm in enumerate(others)}
    for at, site in enumerate(sites):
        for arm in arms:
            mine = curves[(curves["stage"] == site) & (curves["arm"] == arm)].sort_values("share")
            name, colour, dash = looks[arm]
            figure.add_trace(go.Scatter(
                x=mine["share"], y=mine["value"], mode="lines", name=shown(name), legendgroup=shown(name),
                showlegend=at == 0, line={"color": colour, "dash": dash, "width": 1.8}, hoverinfo="text",
                hovertext=[f"<b>{shown(site)}, {shown(name)}</b><br>{int(count)} channels: {value:.3f}"
                           for count, value in zip(mine["repeat"], mine["value"], strict=True)],
            ), row=at // across + 1, col=at % across + 1)  # fmt: skip
    lay_out(figure, 120 + 190 * down)
    figure.update_layout(margin={"t": 90})
    figure.update_legends(y=1.0 + 50 / (190 * down))
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1])
    figure.update_yaxes(range=[0, 1.02], tickvals=[0, 0.5, 1])
    figure.update_annotations(font_size=11)
    return figure


def _short(value: float) -> str:
    return units.NOTHING if pd.isna(value) else units.short(value)
