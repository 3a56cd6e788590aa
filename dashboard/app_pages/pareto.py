"""The first page: what a decoder costs against how good it is, for one device and protocol."""

from __future__ import annotations

import json

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from bench.analysis import Column, pareto_front
from bench.analysis.figures import pareto_figure
from bench.analysis.pareto import hypervolume
from bench.analysis.published import load_published, published_points
from dashboard import state
from dashboard.choose import choose_group, has_numbers
from dashboard.data import Board, choose_folders, code, downloads, load_board

TITLE = "Pareto front"
ORDER = 10

SHOWN = ["label", "study", "plan", "ratio", "criterion", "phases"]
NUMBERS = [
    "speedup", "speedup_low", "speedup_high", "decode_time_ms", "fps", "parameters", "macs_per_frame", "peak_memory_mb",
    "energy_per_frame_j", "first_frame_s",
]  # fmt: skip
SCALED = {"parameters": (1e6, "M"), "macs_per_frame": (1e9, "G")}  # shown divided by the factor, stored as they are
MOST_ROWS = 1000  # of the table on the page; the download has all


def show() -> None:
    """The page, top to bottom."""
    st.title("Cost against quality")
    board = load_board(choose_folders())
    everything = board.summary
    if len(board.arms):  # a run of arms stands in the picture as its arms
        alone = ~everything["run_id"].isin(board.arms["run_id"])
        everything = pd.concat([everything[alone], board.arms], ignore_index=True)
    left, right = st.columns([2, 1])
    with left:
        timed = everything[["speedup", "psnr_source"]] if {"speedup", "psnr_source"} <= set(everything) else None
        group = choose_group(everything, None if timed is None else timed.notna().all(axis=1))
    with right:
        studies = state.multiselect("Studies", "study", sorted(group["study"].unique()), shown=lambda name: name[:60])
    rows = group[group["study"].isin(studies)]
    x, y = choose_axes(rows, board)
    finished = rows[rows["status"] == "ok"]
    plot(finished, group, x, y, board)
    show_table(finished, x, y, board)
    show_failures(rows)


def choose_axes(rows: pd.DataFrame, board: Board) -> tuple[Column, Column]:
    """Two columns that these rows have numbers for, a cost and a quality at first."""
    present = [column.name for column in board.columns.values() if has_numbers(rows, column.name)]
    costs = [name for name in present if not board.columns[name].quality]
    qualities = [name for name in present if board.columns[name].quality]
    if not costs or not qualities:
        st.info("No finished run of this choice has both a cost and a quality number.")
        show_failures(rows)
        st.stop()
    left, right = st.columns(2)
    with left:
        x = state.selectbox("Across", "x", present, prefer("speedup", costs), lambda name: board.columns[name].title)
    with right:
        y = state.selectbox("Up", "y", present, prefer("psnr_source", qualities), lambda n: board.columns[n].title)
    return board.columns[x], board.columns[y]


def plot(rows: pd.DataFrame, group: pd.DataFrame, x: Column, y: Column, board: Board) -> None:
    """The figure, in one line what is missing from it, and how much of the picture the front covers."""
    published = _published(board, x, y)
    drawn = (board.key, tuple(rows["label"] + rows["run_id"]), frozenset(state.chosen()), published is not None)
    figure = _figure(drawn, x.name, y.name, rows, board, published)
    event = st.plotly_chart(
        figure, width="stretch", key="pareto chart", on_select="rerun", selection_mode=("points", "box", "lasso"),
        alt=f"{y.title} against {x.title}; the same numbers are in the table below",
    )  # fmt: skip
    if state.pick("pareto chart", _picked(event)):
        st.rerun()
    missing = int(rows[[x.name, y.name]].isna().any(axis=1).sum())
    hidden = f" {missing} run(s) lack one of these numbers and are not shown." if missing else ""
    st.caption(
        "Faded points are beaten in both numbers by another. Bars are 95 % intervals of the speed-up. Click a point, "
        f"or draw a box or a lasso, to choose runs for the other pages.{hidden}"
    )
    whole = hypervolume(rows, group, x.name, y.name, board.columns)
    if whole is not None:
        parts = {
            plan: hypervolume(of_plan, group, x.name, y.name, board.columns) for plan, of_plan in rows.groupby("plan")
        }
        said = ", ".join(f"{code(str(plan)[:40])} {value:.3f}" for plan, value in list(parts.items())[:8])
        st.caption(
            f"Hypervolume {whole:.3f}: the share of the rectangle from the worst to the best values of this device and "
            f"protocol that these points beat. By plan: {said}"
        )


@st.cache_data(max_entries=32, show_spinner=False)
def _figure(
    drawn: tuple, x: str, y: str, _rows: pd.DataFrame, _board: Board, _published: pd.DataFrame | None
) -> go.Figure:
    """The figure of these rows; `drawn` says what is in it, for the cache to compare."""
    return pareto_figure(_rows, x, y, _board.columns, _board.colours, _published, drawn[2])


def _published(board: Board, x: Column, y: Column) -> pd.DataFrame | None:
    """Printed numbers for these axes, when there are some and the reader wants them."""
    try:
        tables = [load_published(folder) for folder in board.folders]
    except ValueError:
        return None
    points = published_points(pd.concat(tables, ignore_index=True), x.name, y.name)
    if points.empty:
        return None
    wanted = state.toggle("Show published numbers, hollow: other clips and devices", "published")
    return points if wanted else None


def _picked(event: object) -> list[str]:
    """Run ids of the marks that were clicked or drawn around."""
    selection = getattr(event, "selection", None) or {}
    found = []
    for point in selection.get("points", []):
        data = point.get("customdata")
        data = data[0] if isinstance(data, (list, tuple)) and data else data
        if isinstance(data, str):
            found.append(data)
    return list(dict.fromkeys(found))


def show_failures(rows: pd.DataFrame) -> None:
    """Failed runs with their reason, and metrics that could not be measured, each said once."""
    failed = rows[rows["status"] != "ok"]
    if len(failed):
        st.warning(f"{len(failed)} run(s) failed:")
        st.dataframe(failed[["label", "study", "status", "error"]].head(MOST_ROWS), hide_index=True, width="stretch")
    reasons: dict[str, str] = {}
    for text in rows["unavailable"].dropna().unique()[:100]:
        reasons = {**json.loads(text), **reasons}
    for metric, reason in list(reasons.items())[:20]:
        st.caption(f"{code(metric)} unavailable: {code(reason)}")


def show_table(rows: pd.DataFrame, x: Column, y: Column, board: Board) -> None:
    """The rows behind the figure, best first, and their download."""
    qualities = [name for name, column in board.columns.items() if column.quality]
    wanted = [*SHOWN, *NUMBERS, *qualities]
    front = pareto_front(rows, x.name, y.name, board.columns)
    table = rows[[name for name in wanted if name in SHOWN or has_numbers(rows, name)]]
    table = table.assign(front=front.map({True: "*", False: ""})).sort_values(y.name, ascending=not y.higher_is_better)
    table = table[["front", *(name for name in table if name != "front")]]
    head = table.head(MOST_ROWS)
    scaled = head.assign(**{name: head[name] / factor for name, (factor, _) in SCALED.items() if name in head})
    st.dataframe(scaled, hide_index=True, width="stretch", column_config=headings(table, board))
    if len(table) > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS} of {len(table)} rows; the downloads have all.")
    downloads(table, "pareto")


def headings(table: pd.DataFrame, board: Board) -> dict:
    """Readable headings for the numeric columns."""
    titles = {name: column.title for name, column in board.columns.items()}
    titles |= {"speedup_low": "Speed-up, 95 % low", "speedup_high": "Speed-up, 95 % high"}
    titles |= {name: f"{board.columns[name].label} ({prefix})" for name, (_, prefix) in SCALED.items()}
    return {name: st.column_config.NumberColumn(titles[name], format="%.4g") for name in table if name in titles}


def prefer(name: str, options: list[str]) -> str:
    """`name` when it is an option, else the first one."""
    return name if name in options else options[0]
