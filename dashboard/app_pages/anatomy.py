"""A decoder drawn stage by stage, next to its teacher; how near it is to the machine's bounds; how redundant it is."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from bench.analysis import Results
from bench.analysis.anatomy import anatomy
from bench.analysis.figures.anatomy import (
    MEASURES,
    decoder_figure,
    redundancy_figure,
    roofline_figure,
    stage_bars_figure,
)
from bench.analysis.redundancy import BEST, METRIC, curves
from bench.analysis.stages import stages
from dashboard import state
from dashboard.choose import choose_run, choose_study
from dashboard.data import Board, choose_folders, downloads, load_board

TITLE = "Anatomy"
ORDER = 30

MOST_ARMS = 6


def show() -> None:
    """The page, top to bottom."""
    st.title("Anatomy of a decoder")
    board = load_board(choose_folders())
    rows = board.summary[board.summary["status"] == "ok"]
    if rows.empty:
        st.info("No run has finished yet.")
        st.stop()
    left, right = st.columns(2)
    with left:
        timed = sorted(rows[rows["task"] == "stages"]["study"].unique())
        study = choose_study(rows, [*timed, "quickstart"])
    with right:
        of_study = rows[rows["study"] == study]
        pruned = of_study[of_study["plan"] != "teacher"]
        run_id = choose_run(of_study, "Run", "decoder", pruned["run_id"].iloc[0] if len(pruned) else None)
    results = board.results([run_id])
    drawn = show_decoder(results)
    drawn = show_roofline(results) or drawn
    drawn = show_redundancy(results) or drawn
    if not drawn:
        st.info("This run stores no number by stage. Runs of the tasks reconstruct, distill, stages and redundancy do.")
    show_sites(results, board)


def show_decoder(results: Results) -> bool:
    """The stages as boxes, and their time where it was measured."""
    table = anatomy(results)
    if table.empty:
        return False
    arms = list(dict.fromkeys(table["arm"]))
    arms = sorted(arms, key=lambda arm: arm != "teacher")  # the teacher on top
    kept = state.multiselect("Decoders", "arm", arms, arms[:MOST_ARMS], max_selections=MOST_ARMS)
    table = pd.concat([table[table["arm"] == arm] for arm in arms if arm in kept]) if kept else table.iloc[:0]
    if table.empty:
        st.info("Pick a decoder above.")
        return True
    measures = [name for name in MEASURES if table[name].notna().any()]
    measure = state.selectbox("Shade by share of", "shade", measures, measures[0], lambda name: MEASURES[name])
    ink = "#EEEEEE" if st.context.theme.type == "dark" else "#222222"
    st.plotly_chart(
        decoder_figure(table, measure, ink), width="stretch", key="decoder chart",
        alt="The decoder's stages with operator, width and cost; the same numbers are in the table below",
    )  # fmt: skip
    st.caption(
        "From latent (left) to frames (right). The stronger a box's colour, the more of its own decoder it takes. Time "
        "and the share of convolutions are measured by the stages task only; MACs and bytes are counted from the plan."
    )
    if table["seconds"].notna().any():
        st.subheader("Where the time goes")
        st.plotly_chart(stage_bars_figure(table), width="stretch", key="bars chart", alt="Share of time per stage")
        st.caption("Full colour: convolutions; faded: everything else. Bars are shares of each decoder's own time.")
    shown = table.drop(columns=["run_id", "label"]).dropna(axis=1, how="all")
    with st.expander("The numbers"):
        st.dataframe(shown, hide_index=True, width="stretch")
        downloads(shown, "anatomy")
    return True


def show_roofline(results: Results) -> bool:
    """Each stage below the roof of the machine's own rates."""
    table = stages(results)
    if table.empty:
        return False
    st.subheader("Roofline")
    st.plotly_chart(
        roofline_figure(table),
        width="stretch",
        key="roofline chart",
        alt="Arithmetic per second against arithmetic per byte",
    )
    st.caption(
        "The roof is what matrix products and copies reached on this machine in the same run. A stage above it "
        "computes faster than those did; it is no mistake."
    )
    return True


def show_redundancy(results: Results) -> bool:
    """R2 against kept channels, per site."""
    rows = results.measurements
    if not (rows["metric"] == METRIC).any():
        return False
    table = curves(results)
    st.subheader("How redundant its channels are")
    sites = sorted(table["stage"].unique())
    kept = state.multiselect("Sites", "site", sites, sites[:15])
    table = table[table["stage"].isin(kept) & (table["arm"] != BEST)]
    if table.empty:
        st.info("Pick a site above.")
        return True
    st.plotly_chart(
        redundancy_figure(table),
        width="stretch",
        key="redundancy chart",
        alt="Share of variance against share of channels",
    )
    st.caption(
        "Share of a site's variance that its first channels rebuild linearly (R², up) against the share of channels "
        "kept (across). No choice of channels can pass the bound (PCA)."
    )
    return True


def show_sites(results: Results, board: Board) -> None:
    """What pruning kept at each site of this run."""
    rows = results.measurements
    rows = rows[rows["metric"].isin(["r2", "r2_bound"]) & rows["stage"].notna()]
    if rows.empty:
        return
    st.subheader("What the kept channels rebuild")
    wide = rows.pivot_table(index="stage", columns="metric", values="value", sort=False).reset_index()
    st.dataframe(wide.rename(columns={"stage": "site", "r2": "R²", "r2_bound": "bound (PCA)"}), hide_index=True)
