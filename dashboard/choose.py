"""Choices that several pages offer: a study, a device and protocol, runs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import state
from dashboard.data import Board

MOST_OFFERED = 400  # runs in one list


def choose_study(rows: pd.DataFrame, prefer: list[str], label: str = "Study") -> str:
    """One study of `rows`: the first of `prefer` that is there by default, and that of the chosen runs before it."""
    counts = rows["study"].value_counts()
    options = sorted(counts.index)
    of_chosen = rows[rows["run_id"].isin(state.chosen())]["study"]
    default = next((name for name in [*of_chosen[:1], *prefer] if name in counts), options[0])
    return state.selectbox(label, "of", options, default, lambda name: f"{name[:80]} ({counts[name]} runs)")


def choose_group(rows: pd.DataFrame, counted: pd.Series | None = None) -> pd.DataFrame:
    """The rows of one device and protocol: only those may be ranked together. The one with most `counted` is first."""
    keys = rows["device_id"] + " / " + rows["protocol_id"]
    names = rows["device_name"].groupby(keys).first()
    counts = keys.value_counts()
    weight = counts if counted is None else counts + len(rows) * counted.groupby(keys).sum()
    options = sorted(counts.index, key=lambda key: (-weight[key], key))
    chosen = state.selectbox(
        "Device and protocol", "group", options, options[0],
        lambda key: f"{names[key][:60]}, protocol {key.rsplit(' / ', 1)[-1]} ({counts[key]} runs)",
    )  # fmt: skip
    return rows[keys == chosen]


def choose_runs(rows: pd.DataFrame, board: Board, first: int, most: int, label: str = "Runs") -> list[str]:
    """Several runs of `rows`, the chosen ones at first, else the `first` ones."""
    names = run_names(rows)
    options = list(names)[:MOST_OFFERED]
    before = [run_id for run_id in state.chosen() if run_id in names]
    options += [run_id for run_id in before if run_id not in options]
    start = (before or options[:first])[:most]
    if len(names) > len(options):
        st.caption(f"{len(names)} runs; {len(options)} are offered here. Choose others on the Pareto or Runs page.")
    return state.multiselect(label, "runs", options, start, lambda run_id: names[run_id], max_selections=most)


def choose_run(rows: pd.DataFrame, label: str, name: str, default: str | None = None) -> str:
    """One run of `rows`."""
    names = run_names(rows)
    options = list(names)[:MOST_OFFERED]
    before = [run_id for run_id in state.chosen() if run_id in names]
    options += [run_id for run_id in before if run_id not in options]
    start = next((run_id for run_id in (*before, default) if run_id in options), options[0])
    return state.selectbox(label, name, options, start, lambda run_id: names[run_id])


def run_names(rows: pd.DataFrame) -> dict[str, str]:
    """What each run is called in a list: its label, with its id where several share one."""
    shared = rows["label"].duplicated(keep=False)
    return {
        run_id: f"{str(label)[:60]} ({run_id[:8]})" if twice else str(label)[:60]
        for run_id, label, twice in zip(rows["run_id"], rows["label"], shared, strict=True)
    }


def has_numbers(rows: pd.DataFrame, name: str) -> bool:
    """Whether `rows` has a number in column `name`."""
    return name in rows and bool(rows[name].notna().any())
