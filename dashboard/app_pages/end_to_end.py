"""Whole pipelines: where a video's time goes with each decoder, and whether VBench-2.0 sees a difference."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from bench.analysis import Results, end_to_end, vbench2
from bench.analysis.figures.end_to_end import parts_figure, radar_figure
from dashboard import state
from dashboard.data import Board, choose_folders, downloads, load_board

TITLE = "End to end"
ORDER = 60

HIDDEN = ["run_id", "study", "label", "device_name"]
NUMBERS = ["text_s", "denoise_s", "decode_s", "write_s", "end_to_end_s", "decode_share", "speedup", "speedup_low",
           "speedup_high", "amdahl", "amdahl_ceiling", "first_frame_s", "psnr", "ssim", "lpips", "sharpness",
           "flicker"]  # fmt: skip
SCORES = ["score", "delta", "low", "high"]


def show() -> None:
    """The page, top to bottom."""
    st.title("End to end")
    board = load_board(choose_folders())
    rows = board.summary[(board.summary["status"] == "ok")]
    runs = rows[(rows["task"] == "generate") | (rows["task"] == vbench2.TASK)]["run_id"]
    if runs.empty:
        st.info(
            "No run has generated videos yet. This page shows runs of the task `generate` and VBench-2.0 scores once "
            "such a run is stored."
        )
        st.stop()
    results = board.results(list(runs))
    show_parts(results)
    show_vbench(results, board)


def show_parts(results: Results) -> None:
    """Stacked seconds per part, and what no decoder can beat."""
    table = end_to_end.table(results)
    if table.empty:
        st.info("No timed pipeline is stored.")
        return
    names = dict(zip(table["run_id"], table["host"] + ", " + table["label"] + ", " + table["device_id"], strict=True))
    run = state.selectbox("Pipeline", "pipeline", list(names), next(iter(names)), lambda run_id: names[run_id][:90])
    mine = table[table["run_id"] == run]
    st.plotly_chart(parts_figure(mine), width="stretch", key="parts chart", alt="Seconds per part and arm")
    first = mine.iloc[0]
    ceiling = first["amdahl_ceiling"]
    bound = (
        f" Decoding takes {first['decode_share']:.1%} of the first arm's parts, so no decoder can make the whole more "
        f"than {ceiling:.2f} times as fast (Amdahl)."
    )
    st.caption(
        "Median seconds of one video; times as fast as the first arm with 95 % interval."
        + (bound if pd.notna(ceiling) else "")
    )
    st.dataframe(
        mine.drop(columns=HIDDEN).dropna(axis=1, how="all"), hide_index=True, width="stretch",
        column_config={name: st.column_config.NumberColumn(format="%.4g") for name in NUMBERS},
    )  # fmt: skip
    downloads(mine, "end_to_end")


def show_vbench(results: Results, board: Board) -> None:
    """A radar of the dimensions, and paired differences per dimension."""
    table = vbench2.tables(results)
    if table.empty:
        st.info("No VBench-2.0 score is stored.")
        return
    st.subheader("VBench-2.0")
    names = dict(zip(table["run_id"], table["label"], strict=True))
    run = state.selectbox("Scores of", "scores", list(names), next(iter(names)), lambda run_id: str(names[run_id])[:80])
    mine = table[table["run_id"] == run]
    dimensions = mine[(mine["level"] == "dimension") & mine["score"].notna()]
    st.plotly_chart(
        radar_figure(dimensions, board.colours), width="stretch", key="radar chart", alt="Scores by dimension and arm"
    )
    paired = mine.drop(columns=["run_id", "label", "against"])
    st.dataframe(
        paired, hide_index=True, width="stretch",
        column_config={name: st.column_config.NumberColumn(format="%.4f") for name in SCORES},
    )  # fmt: skip
    st.caption(
        "Scores from 0 to 1; a category needs all its dimensions, the total all 18 on the official list. delta: mean "
        f"difference from {mine['against'].iloc[0] or 'no arm'} over prompts, low and high its 95 % interval."
    )
    downloads(mine, "vbench2")
