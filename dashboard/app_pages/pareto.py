"""The first page: what a decoder costs against how good it is, for one device and protocol."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from bench.analysis import Column, pareto_front
from bench.analysis.figures import pareto_figure
from bench.analysis.points import plan_colours
from dashboard import state
from dashboard.data import Board, choose_folders, code, csv_bytes, load_board

TITLE = "Pareto front"

SHOWN = ["label", "study", "plan", "ratio", "criterion", "phases"]
NUMBERS = [
    "speedup",
    "speedup_low",
    "speedup_high",
    "decode_time_ms",
    "fps",
    "parameters",
    "macs_per_frame",
    "peak_memory_mb",
]

SCALED = {"parameters": (1e6, "M"), "macs_per_frame": (1e9, "G")}  # shown divided by the factor, stored as they are


def show() -> None:
    """The page, top to bottom."""
    st.title("Cost against quality")
    board = load_board(choose_folders())
    left, right = st.columns([2, 1])
    with left:
        group = choose_group(board.summary)
    with right:
        studies = state.multiselect("Studies", "study", sorted(group["study"].unique()))
    rows = group[group["study"].isin(studies)]
    x, y = choose_axes(rows, board)
    finished = rows[rows["status"] == "ok"]
    plot(finished, x, y, board)
    show_table(finished, x, y, board)
    show_failures(rows)


def choose_group(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of one device and protocol: only those may be ranked together."""
    keys = summary["device_id"] + " / " + summary["protocol_id"]
    names = summary["device_name"].groupby(keys).first()
    counts = keys.value_counts()
    chosen = state.selectbox(
        "Device and protocol", "group", list(counts.index), counts.index[0],
        lambda key: f"{names[key]}, protocol {key.rsplit(' / ', 1)[-1]} ({counts[key]} runs)",
    )  # fmt: skip
    return summary[keys == chosen]


def choose_axes(rows: pd.DataFrame, board: Board) -> tuple[Column, Column]:
    """A cost and a quality that these rows have numbers for."""
    present = [column for column in board.columns.values() if has_numbers(rows, column.name)]
    costs = [column.name for column in present if not column.quality]
    qualities = [column.name for column in present if column.quality]
    if not costs or not qualities:
        st.info("No finished run of this choice has both a cost and a quality number.")
        show_failures(rows)
        st.stop()
    left, right = st.columns(2)
    with left:
        x = state.selectbox("Cost", "x", costs, prefer("speedup", costs), lambda name: board.columns[name].title)
    with right:
        y = state.selectbox(
            "Quality", "y", qualities, prefer("psnr_source", qualities), lambda name: board.columns[name].title
        )
    return board.columns[x], board.columns[y]


def plot(rows: pd.DataFrame, x: Column, y: Column, board: Board) -> None:
    """The figure, and in one line what is missing from it."""
    colours = plan_colours(board.summary["plan"])
    st.plotly_chart(pareto_figure(rows, x.name, y.name, board.columns, colours), width="stretch")
    missing = int(rows[[x.name, y.name]].isna().any(axis=1).sum())
    hidden = f" {missing} run(s) lack one of these numbers and are not shown." if missing else ""
    st.caption(f"Faded points are beaten in both numbers by another. Bars are 95 % intervals of the speed-up.{hidden}")


def show_failures(rows: pd.DataFrame) -> None:
    """Failed runs with their reason, and metrics that could not be measured, each said once."""
    failed = rows[rows["status"] != "ok"]
    if len(failed):
        st.warning(f"{len(failed)} run(s) failed:")
        st.dataframe(failed[["label", "study", "status", "error"]], hide_index=True, width="stretch")
    reasons: dict[str, str] = {}
    for text in rows["unavailable"].dropna():
        reasons = {**json.loads(text), **reasons}
    for metric, reason in reasons.items():
        st.caption(f"{code(metric)} unavailable: {code(reason)}")


def show_table(rows: pd.DataFrame, x: Column, y: Column, board: Board) -> None:
    """The rows behind the figure, best first, and their download."""
    qualities = [name for name, column in board.columns.items() if column.quality]
    wanted = [*SHOWN, *NUMBERS, *qualities]
    front = pareto_front(rows, x.name, y.name, board.columns)
    table = rows[[name for name in wanted if name in SHOWN or has_numbers(rows, name)]]
    table = table.assign(front=front.map({True: "*", False: ""})).sort_values(y.name, ascending=not y.higher_is_better)
    table = table[["front", *(name for name in table if name != "front")]]
    scaled = table.assign(**{name: table[name] / factor for name, (factor, _) in SCALED.items() if name in table})
    st.dataframe(scaled, hide_index=True, width="stretch", column_config=headings(table, board))
    st.download_button("Download as CSV", csv_bytes(table), "pareto.csv", "text/csv")


def headings(table: pd.DataFrame, board: Board) -> dict:
    """Readable headings for the numeric columns."""
    titles = {name: column.title for name, column in board.columns.items()}
    titles |= {"speedup_low": "Speed-up, 95 % low", "speedup_high": "Speed-up, 95 % high"}
    titles |= {name: f"{board.columns[name].label} ({prefix})" for name, (_, prefix) in SCALED.items()}
    return {name: st.column_config.NumberColumn(titles[name], format="%.4g") for name in table if name in titles}


def has_numbers(rows: pd.DataFrame, name: str) -> bool:
    """Whether `rows` has a number in column `name`."""
    return name in rows and bool(rows[name].notna().any())


def prefer(name: str, options: list[str]) -> str:
    """`name` when it is an option, else the first one."""
    return name if name in options else options[0]
