"""Training: losses and PSNR step by step, weights that follow the stages' errors, quality against the budget."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from bench.analysis.figures.training import budget_figure, curves_figure, terms_figure
from bench.analysis.training import WEIGHT, budget, curves
from dashboard import state
from dashboard.choose import choose_runs, choose_study, has_numbers
from dashboard.data import Board, choose_folders, downloads, load_board

TITLE = "Training"
ORDER = 40

MOST_RUNS = 8
MOST_PANELS = 4
QUALITIES = ["psnr_teacher", "psnr_source", "ssim_teacher"]


def show() -> None:
    """The page, top to bottom."""
    st.title("Training")
    board = load_board(choose_folders())
    rows = board.summary
    trained = rows["phases"].notna() & (rows["phases"] != "none") & rows["task"].isin(["distill", "reconstruct"])
    rows = rows[(rows["status"] == "ok") & trained]
    if rows.empty:
        st.info("No finished run was trained. `python -m bench run task=distill plan=paper` trains one.")
        st.stop()
    left, right = st.columns([1, 2])
    with left:
        study = choose_study(rows, ["distill_phases", "distill_hour", "quickstart"])
    with right:
        of_study = rows[rows["study"] == study].sort_values("seed", kind="stable")
        runs = choose_runs(of_study, board, first=6, most=MOST_RUNS)
    table = curves(board.results(runs)) if runs else pd.DataFrame()
    if table.empty:
        st.info("No curve is stored for these runs: pick others, or train again with this version.")
    else:
        table = table.sort_values("run_id", key=lambda ids: ids.map(runs.index), kind="stable")  # as they were picked
        show_curves(table)
        show_weights(table)
        with st.expander("The numbers"):
            st.caption(f"{len(table)} points; the first 500 are listed, the downloads have all.")
            st.dataframe(table.head(500), hide_index=True, width="stretch")
            downloads(table, "training")
    show_budget(board)


def show_curves(table: pd.DataFrame) -> None:
    """One watched number or loss term, a line per run."""
    names = {f"{kind} {term}": (kind, term) for kind, term in
             table[["kind", "term"]].drop_duplicates().itertuples(index=False, name=None)
             if not term.startswith(WEIGHT)}  # fmt: skip
    options = sorted(names, key=lambda name: (name != "watched psnr", name))
    one, two, three = st.columns([2, 1, 1])
    with one:
        name = state.selectbox("Curve", "curve", options, options[0], _said)
    with two:
        smooth = int(state.selectbox("Running mean over stored points", "smooth", ["1", "5", "15", "51"], "5"))
    with three:
        log = state.toggle("Logarithmic", "log")
    kind, term = names[name]
    rows = table[(table["kind"] == kind) & (table["term"] == term)]
    phases = list(dict.fromkeys(rows.sort_values("step")["phase"]))
    kept = state.multiselect("Phases", "phase", phases)
    rows = rows[rows["phase"].isin(kept)]
    if rows.empty:
        st.info("Pick a phase above.")
        return
    st.plotly_chart(
        curves_figure(rows, _said(name), smooth, log),
        width="stretch",
        key="curves chart",
        alt=f"{_said(name)} against steps",
    )
    st.caption("A line breaks where a phase ends. PSNR is to the teacher's frames of the training batch, not held out.")


def show_weights(table: pd.DataFrame) -> None:
    """How the weights of the stages' feature losses moved."""
    rows = table[table["term"].str.startswith(WEIGHT)]
    runs = list(dict.fromkeys(rows["run_id"]))[:MOST_PANELS]
    rows = rows[rows["run_id"].isin(runs)]
    if rows.empty:
        return
    st.subheader("Dynamic weights")
    rows = rows.assign(term=rows["term"].str.removeprefix(WEIGHT))
    st.plotly_chart(
        terms_figure(rows, "weight of the stage"), width="stretch", key="weights chart", alt="Weights over time"
    )
    st.caption(
        f"Weight of each stage's feature loss in joint distillation; the first {MOST_PANELS} runs that have one."
    )


def show_budget(board: Board) -> None:
    """Quality on held-out clips against training steps, over all studies."""
    qualities = [name for name in QUALITIES if has_numbers(board.summary, name)]
    if not qualities:
        return
    quality = state.selectbox(
        "Held-out quality", "quality", qualities, qualities[0], lambda name: board.columns[name].title
    )
    table = budget(board.summary, quality)
    if table.empty:
        return
    st.subheader("Quality against the budget")
    curves_kept = list(dict.fromkeys(table["curve"]))
    kept = state.multiselect("Curves", "budget", curves_kept, curves_kept[:6], lambda name: name[:80])
    table = table[table["curve"].isin(kept)]
    if len(table):
        st.plotly_chart(
            budget_figure(table, board.columns[quality], board.colours), width="stretch", key="budget chart",
            alt="Held-out quality against training steps",
        )  # fmt: skip
        st.caption(
            "Mean over seeds, bars from the lowest to the highest. Runs that differ in steps alone are one line."
        )
        downloads(table, "budget")


def _said(name: str) -> str:
    kind, _, term = name.partition(" ")
    if term == "psnr":
        return "PSNR to the teacher's batch (dB)"
    return f"loss: {term[:60]}" if kind == "loss" else term[:60]
