"""Every run: how it ended, where it came from, what two of them differ in, and how to repeat one."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from bench.analysis.configuration import configuration, difference
from dashboard import state
from dashboard.choose import run_names
from dashboard.data import LONGEST, Board, choose_folders, code, downloads, load_board

TITLE = "Runs"
ORDER = 70

LISTED = [
    "study", "label", "status", "error", "started_at", "wall_s", "device_name", "git_sha", "git_dirty", "protocol_id",
    "run_id",
]  # fmt: skip
MOST_ROWS = 2000  # of the table on the page; the download has all


def show() -> None:
    """The page, top to bottom."""
    st.title("Runs")
    board = load_board(choose_folders())
    rows = filtered(board.runs)
    counts = board.runs["status"].value_counts()
    st.caption(", ".join(f"{count} {status}" for status, count in counts.items()) + f"; {len(rows)} shown")
    if rows.empty:
        st.info("No run fits these choices.")
        st.stop()
    table = rows[LISTED].reset_index(drop=True)
    event = st.dataframe(
        table.head(MOST_ROWS), hide_index=True, width="stretch", height=320, key="runs table", on_select="rerun",
        selection_mode="multi-row", column_config={"wall_s": st.column_config.NumberColumn("seconds", format="%.1f")},
    )  # fmt: skip
    if len(table) > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS} of {len(table)} rows; the downloads have all.")
    downloads(table, "runs")
    picked = [table["run_id"].iloc[at] for at in event.selection.rows if at < len(table)]
    if state.pick("runs table", picked):
        st.rerun()
    show_one(board)
    show_difference(board)


def filtered(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs of some studies and statuses whose label, study or id holds a text; the latest first."""
    one, two, three = st.columns([2, 2, 2])
    with one:
        text = state.text_input("Label, study or id contains", "find")
    with two:
        statuses = state.multiselect("Status", "status", sorted(runs["status"].unique()))
    with three:
        studies = state.multiselect("Studies", "of_study", sorted(runs["study"].unique()), [], lambda name: name[:60])
    rows = runs[runs["status"].isin(statuses)]
    if studies:
        rows = rows[rows["study"].isin(studies)]
    if text:
        found = [rows[name].str.contains(text, case=False, regex=False) for name in ("label", "study", "run_id")]
        rows = rows[found[0] | found[1] | found[2]]
    return rows.sort_values("started_at", ascending=False, kind="stable")


def show_one(board: Board) -> None:
    """One run's provenance, warnings, command and configuration."""
    st.subheader("One run")
    run_id = _choose(board, "Run", "one", 0)
    run = board.run(run_id)
    if run is None:
        return
    left, right = st.columns(2)
    with left:
        st.markdown(f"{code(str(run['study']))} {code(str(run['label']))}: **{run['status']}**")
        if run["error"]:
            st.error(code(str(run["error"])))
        sha = str(run["git_sha"])[:40]
        dirty = " with local changes" if run["git_dirty"] is True else ""
        st.markdown(f"Code {code(sha)}{dirty}, {code(str(run['started_at']))}, {run['wall_s']:.1f} s")
        st.markdown(f"Device {code(str(run['device_name']))}, id {code(str(run['device_id']))}")
        st.markdown(f"Protocol {code(str(run['protocol_id']))}, run {code(run_id)}")
    with right:
        warnings = json.loads(run["warnings_json"])
        for warning in warnings[:20] if isinstance(warnings, list) else []:
            st.warning(code(str(warning)))
        if not warnings:
            st.caption("No warning was recorded.")
        for metric, reason in _unavailable(board, run_id).items():
            st.caption(f"{code(metric)} unavailable: {code(reason)}")
    st.caption("The command that repeats it")
    st.code(str(run["command"])[: 10 * LONGEST], language="bash", wrap_lines=True)
    with st.expander("Its whole configuration"):
        flat = configuration(run)
        table = pd.DataFrame({"key": list(flat), "value": [value[:LONGEST] for value in flat.values()]})
        st.dataframe(table, hide_index=True, width="stretch")
        downloads(table, "configuration")


def show_difference(board: Board) -> None:
    """Keys in which two runs' configurations differ."""
    st.subheader("What two runs differ in")
    left, right = st.columns(2)
    with left:
        one = _choose(board, "One", "left", 0)
    with right:
        other = _choose(board, "Other", "right", 1)
    first, second = board.run(one), board.run(other)
    if first is None or second is None:
        return
    table = difference(first, second)
    if table.empty:
        st.info("Nothing that was stored differs between them." if one != other else "This is one run twice.")
        return
    st.dataframe(table.map(lambda text: str(text)[:LONGEST]), hide_index=True, width="stretch")


def _choose(board: Board, label: str, name: str, place: int) -> str:
    """A run by name: the chosen ones first, then the latest; the place-th of them by default."""
    chosen = [run_id for run_id in state.chosen() if run_id in board.places]
    recent = board.runs.sort_values("started_at", ascending=False)["run_id"].head(400)
    asked = [run_id for run_id in st.query_params.get_all(name) if run_id in board.places]
    options = list(dict.fromkeys([*chosen, *asked, *recent]))
    names = run_names(board.runs[board.runs["run_id"].isin(options)])
    return state.selectbox(label, name, options, options[min(place, len(options) - 1)], lambda run_id: names[run_id])


def _unavailable(board: Board, run_id: str) -> dict[str, str]:
    text = board.summary.loc[board.summary["run_id"] == run_id, "unavailable"]
    known = [value for value in text if isinstance(value, str)]
    return json.loads(known[0]) if known else {}
