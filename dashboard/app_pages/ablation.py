"""One study: its question, what each variant changes against the control, and how sure that is."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from bench.analysis import Column, Results, end_to_end
from bench.analysis.arms import compare
from bench.analysis.deltas import clip_values, deltas, reading, with_variants
from bench.analysis.figures.ablation import arms_figure, deltas_figure, heat_figure
from bench.analysis.grid import axes_of, grid
from bench.analysis.study import Study, read_study
from dashboard import state
from dashboard.choose import choose_group, choose_study, has_numbers
from dashboard.data import Board, choose_folders, code, downloads, load_board, plain

TITLE = "Ablation"
ORDER = 20
AS_RATIO = {"speedup": "ratio", "speedup_low": "ratio_low", "speedup_high": "ratio_high"}

USUAL = ["psnr_teacher", "psnr_untrained_teacher", "sharpness_teacher", "flicker_teacher", "speedup", "psnr_source"]
MOST_PANELS = 5
MOST_RUNS = 400  # of one study whose clips are compared; beyond it, whole runs are
LISTED = ["variant", "corner", "value", "control", "delta", "low", "high", "seeds", "clips", "paired"]


def show() -> None:
    """The page, top to bottom."""
    st.title("One study")
    board = load_board(choose_folders())
    left, right = st.columns([1, 2])
    with left:
        name = choose_study(board.summary, ["quickstart", "distill_phases"])
    study = read_study(name)
    if study.question:
        st.markdown(f"**Question.** {plain(study.question)}")
    else:
        st.caption("No question is recorded for this study.")
    rows = board.summary[board.summary["study"] == name]
    if has_arms(board, name):
        show_arms(board, name)
        return
    with right:
        rows = choose_group(rows)
    finished = rows[rows["status"] == "ok"]
    if len(finished) < len(rows):
        st.warning(f"{len(rows) - len(finished)} run(s) of this study did not finish; the Runs page says why.")
    present = [column for column in board.columns.values() if has_numbers(finished, column.name)]
    if not present:
        st.info("No finished run of this study has a number to compare. Its figures may be on the Anatomy page.")
        st.stop()
    show_deltas(finished, study, present, board)
    show_heat(finished, present)


def has_arms(board: Board, study: str) -> bool:
    """Whether this study compares arms within one run."""
    return len(board.arms) > 0 and study in set(board.arms["study"])


def show_deltas(rows: pd.DataFrame, study: Study, present: list[Column], board: Board) -> None:
    """Small multiples, their reading in words, and the numbers."""
    variants = list(dict.fromkeys(with_variants(rows)["variant"]))
    default = study.control if study.control and study.control in variants else variants[0]
    names = [column.name for column in present]
    left, right = st.columns([1, 2])
    with left:
        control = state.selectbox("Control", "control", variants, default, lambda name: name[:60])
    with right:
        usual = [name for name in USUAL if name in names and rows[name].nunique() > 1][:4] or names[:4]
        columns = state.multiselect(
            "Numbers", "number", names, usual, lambda name: board.columns[name].title, max_selections=MOST_PANELS
        )
    if study.control is None:
        st.caption("The study names no control; any variant can be taken for one.")
    if not columns or len(variants) < 2:
        st.info("Two variants and one number are needed for a comparison.")
        return
    table = _deltas(board, tuple(rows["run_id"]), control, tuple(columns))
    if table.empty:
        st.info("No variant has a run to compare with the control.")
        return
    st.plotly_chart(
        deltas_figure(table, board.columns, board.colours, control), width="stretch", key="deltas chart",
        alt="Differences from the control with intervals; the same numbers are in the table below",
    )  # fmt: skip
    st.caption(
        f"Variant minus {code(control)}, dots with 95 % bootstrap intervals over pairs of equal seed and clip. Timed "
        "numbers pair by seed alone. With two or three seeds an interval is rough."
    )
    st.subheader("What it says")
    chosen = board.columns[columns[0]]
    if len(columns) > 1:
        name = state.selectbox("Read", "read", columns, columns[0], lambda name: board.columns[name].title)
        chosen = board.columns[name]
    mine = table[table["column"] == chosen.name]
    for sentence in reading(mine, chosen, control):
        st.markdown(f"- {plain(sentence)}")
    st.caption(
        f"{chosen.title}, {'higher' if chosen.higher_is_better else 'lower'} is better. Many comparisons at once: of "
        "twenty that change nothing, one interval is expected to leave zero out."
    )
    kept = [name for name in LISTED if name != "corner" or mine["corner"].any()]
    listed = mine[kept].sort_values("delta", ascending=not chosen.higher_is_better)
    st.dataframe(listed, hide_index=True, width="stretch", column_config={
        name: st.column_config.NumberColumn(format="%.4g") for name in ("value", "control", "delta", "low", "high")
    })  # fmt: skip
    downloads(table, f"{study.name}_deltas")


@st.cache_data(max_entries=64, show_spinner="Comparing with the control")
def _cached_deltas(
    key: str, run_ids: tuple[str, ...], control: str, columns: tuple[str, ...], _rows: pd.DataFrame, _results: Results
) -> pd.DataFrame:
    return deltas(_rows, clip_values(_results), control, list(columns))


def _deltas(board: Board, run_ids: tuple[str, ...], control: str, columns: tuple[str, ...]) -> pd.DataFrame:
    rows = board.summary[board.summary["run_id"].isin(run_ids)]
    results = board.results(run_ids if len(run_ids) <= MOST_RUNS else ())
    return _cached_deltas(board.key, run_ids, control, columns, rows, results)


def show_heat(rows: pd.DataFrame, present: list[Column]) -> None:
    """One number over two of the study's axes."""
    axes = list(axes_of(rows))
    if len(axes) < 2:
        return
    st.subheader("Over two axes")
    preferred = ["changed stage", "operator"] if {"changed stage", "operator"} <= set(axes) else axes[:2]
    names = [column.name for column in present]
    titles = {column.name: column.title for column in present}
    start = next((name for name in USUAL if name in names), names[0])
    one, two, three = st.columns(3)
    with one:
        down = state.selectbox("Down", "down", axes, preferred[0])
    with two:
        others = [axis for axis in axes if axis != down]
        across = state.selectbox("Across", "across", others, preferred[1] if preferred[1] in others else others[0])
    with three:
        name = state.selectbox("Number", "heat", names, start, lambda name: titles[name])
    column = next(column for column in present if column.name == name)
    table = grid(rows, down, across, name)
    if table.empty:
        st.info("No run has a value on both axes.")
        return
    st.plotly_chart(
        heat_figure(table, column, down, across), width="stretch", key="heat chart",
        alt=f"{column.title} over {down} and {across}",
    )  # fmt: skip
    st.caption("Mean over the runs of a cell; brighter is better. Empty cells were not run.")


def show_arms(board: Board, study: str) -> None:
    """A study that compares arms within one run: ratios to the baseline."""
    rows = board.arms[board.arms["study"] == study]
    runs = board.runs[board.runs["run_id"].isin(rows["run_id"])]
    labels = dict(zip(runs["run_id"], runs["label"], strict=True))
    run = state.selectbox("Point", "point", list(labels), next(iter(labels)), lambda run_id: str(labels[run_id])[:60])
    results = board.results([run])
    table = compare(results)
    if table.empty:  # arms in a pipeline: the whole generation's ratio
        table = end_to_end.table(results).rename(columns=AS_RATIO)
        table["fps"] = table["frames"].astype(float) / table["end_to_end_s"]
    table = table.drop(columns=["run_id", "device_id"])
    baseline = str(table["arm"].iloc[0])
    st.plotly_chart(
        arms_figure(table, board.colours, rows.set_index("label")["plan"].to_dict()), width="stretch", key="arms chart",
        alt="Times as fast as the baseline, per arm; the same numbers are in the table below",
    )  # fmt: skip
    st.caption(f"Times as fast as {code(baseline)}, median with 95 % interval over ABBA blocks; hollow: not accepted.")
    for row in table[table["note"].notna()].to_dict("records"):
        st.caption(f"{code(str(row['arm']))}: {code(str(row['note']))}")
    st.dataframe(table.dropna(axis=1, how="all"), hide_index=True, width="stretch")
    downloads(table, f"{study}_arms")
