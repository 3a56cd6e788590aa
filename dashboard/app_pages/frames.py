"""Frames: quality along a clip, the worst frames first, and the pictures themselves where they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from bench.analysis.figures.frames import trace_figure
from bench.analysis.frames import per_frame, worst_frames
from bench.records import stored_clips, stored_frames
from dashboard import state
from dashboard.choose import choose_runs, choose_study
from dashboard.data import Board, choose_folders, downloads, load_board
from dashboard.viewer import show_viewer
from dashboard.votes import show_blind

TITLE = "Frames"
ORDER = 50

MOST_RUNS = 6
MISSING = (
    "No pictures are stored for these runs, which needs `frames/RUN/CLIP/` beside the results; "
    "`pictures=2 again=true` at the end of a run's command stores those of its first two clips."
)


def show() -> None:
    """The page, top to bottom."""
    st.title("Frames")
    board = load_board(choose_folders())
    rows = board.summary[(board.summary["status"] == "ok") & (board.summary["clips"].fillna(0) > 0)]
    if rows.empty:
        st.info("No finished run has judged a clip frame by frame.")
        st.stop()
    left, right = st.columns([1, 2])
    with left:
        study = choose_study(rows, [*_with_pictures(board, rows), "quickstart"])
    with right:
        of_study = rows[rows["study"] == study]
        of_study = of_study.sort_values("plan", key=lambda plan: plan == "teacher", kind="stable")  # its copy last
        runs = choose_runs(of_study, board, first=3, most=MOST_RUNS)
    table = per_frame(board.results(runs)) if runs else pd.DataFrame()
    if table.empty or not (table["arm"] == "student").any():
        st.info("Pick a run that has a number per frame.")
        st.stop()
    clip, frame = show_numbers(table)
    show_pictures(board, runs, clip, frame)


def show_numbers(table: pd.DataFrame) -> tuple[str, int]:
    """The trace along one clip and the worst frames; gives the clip and the frame to look at."""
    student = table[table["arm"] == "student"]
    pairs = student[["metric", "against"]].drop_duplicates()
    names = {f"{metric} against {against}" if against else metric: (metric, against)
             for metric, against in pairs.itertuples(index=False, name=None)}  # fmt: skip
    default = next(
        (name for name in ("psnr against teacher", "psnr against source") if name in names), next(iter(names))
    )
    left, right = st.columns(2)
    with left:
        name = state.selectbox("Metric", "metric", list(names), default, lambda name: name[:60])
    metric, against = names[name]
    rows = table[(table["metric"] == metric) & (table["against"] == against)]
    worst = worst_frames(rows, metric, against)
    clips = sorted(rows["clip"].unique())
    with right:
        clip = state.selectbox("Clip", "clip", clips, str(worst["clip"].iloc[0]), lambda name: name[:80])
    of_clip = rows[rows["clip"] == clip]
    frames = sorted(of_clip["frame"].unique())
    of_worst = worst[worst["clip"] == clip]["frame"]
    start = str(int(of_worst.iloc[0])) if len(of_worst) else str(frames[0])
    frame = int(state.selectbox("Frame", "frame", [str(frame) for frame in frames], start))
    unit = str(rows["unit"].iloc[0])
    st.plotly_chart(
        trace_figure(of_clip, f"{name} ({unit})" if unit not in ("", "1", "ratio", "score") else name, frame),
        width="stretch", key="trace chart", alt=f"{name} along the clip, frame by frame",
    )  # fmt: skip
    with st.expander("Worst frames first, all clips", expanded=True):
        st.dataframe(
            worst.drop(columns="run_id").dropna(axis=1, how="all"), hide_index=True, width="stretch", height=220,
            column_config={name: st.column_config.NumberColumn(format="%.4g") for name in ("value", "teacher", "gap")},
        )  # fmt: skip
        st.caption("teacher: the teacher's own number for that frame, where it has one; gap: value minus teacher.")
        downloads(worst, "worst_frames")
    return clip, frame


def show_pictures(board: Board, runs: Sequence[str], clip: str, frame: int) -> None:
    """The viewer and the blind comparison, or one line that says what is missing."""
    st.subheader("Pictures")
    names = dict(zip(board.summary["run_id"], board.summary["label"], strict=True))
    have = {run_id: frames for run_id in runs if (frames := _frames(board, run_id, clip))}
    if not have:
        st.info(MISSING)
        return
    run_id = state.selectbox("Run", "pictures", list(have), next(iter(have)), lambda run: str(names[run])[:60])
    frames = have[run_id]
    left = "student" if "student" in frames else next(iter(frames))
    right = next((who for who in ("teacher", "source") if who in frames and who != left), left)
    show_viewer(frames, frame, left, right)
    st.caption(
        "Drag the line in the picture or use the sliders; all clips play at the same frame. The error map is the mean "
        "absolute difference of the colours, times the gain. PNG frames of 8 bit: numbers here differ a little from "
        "the stored ones, which are of unrounded frames."
    )
    if state.toggle("Blind comparison", "blind"):
        sides = _sides(board, list(have), names)
        if len(sides) < 2:
            st.info("A blind comparison needs pictures of two decoders.")
            return
        show_blind(sides, board.folders)


def _frames(board: Board, run_id: str, clip: str) -> dict[str, list[Path]]:
    """The stored frames of one clip, from the first results folder that has any."""
    for folder in board.folders:
        try:
            frames = stored_frames(folder, run_id, clip)
        except (ValueError, OSError):
            continue
        if frames:
            return frames
    return {}


def _sides(board: Board, runs: list[str], names: dict[str, str]) -> dict[str, dict[str, list[Path]]]:
    """Who can be compared: each run's student, and the teacher and the source once."""
    sides: dict[str, dict[str, list[Path]]] = {}
    for run_id in runs:
        for folder in board.folders:
            for clip in stored_clips(folder, run_id):
                for who, paths in stored_frames(folder, run_id, clip).items():
                    side = f"{names[run_id]} ({run_id[:8]})" if who == "student" else who
                    sides.setdefault(side, {}).setdefault(clip, paths)
    return sides


def _with_pictures(board: Board, rows: pd.DataFrame) -> list[str]:
    """Studies of the runs that have pictures."""
    found = {
        path.name for folder in board.folders if (folder / "frames").is_dir() for path in (folder / "frames").iterdir()
    }
    return list(dict.fromkeys(rows[rows["run_id"].isin(found)]["study"])) if found else []
