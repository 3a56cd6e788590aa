"""Blind comparison of two decoders: which of A and B looks better, recorded in a folder that the user names.

This is all that the dashboard writes besides its cache: one line of JSON per vote in `<folder>/votes.jsonl`.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from bench.analysis.votes import COLUMNS, TIE, tally
from dashboard import state
from dashboard.data import code
from dashboard.viewer import show_viewer

FILE = "votes.jsonl"


def show_blind(sides: Mapping[str, Mapping[str, Sequence[Path]]], results: Sequence[Path]) -> None:
    """Vote between two of `sides`, which map a name to its clips' frames; A and B change places at random."""
    names = list(sides)
    left, right = st.columns(2)
    with left:
        one = state.selectbox("Compare", "blind_one", names, names[-1], lambda name: name[:60])
    with right:
        others = [name for name in names if name != one]
        other = state.selectbox("With", "blind_other", others, others[0], lambda name: name[:60])
    clips = sorted(set(sides[one]) & set(sides[other]))
    if not clips:
        st.info("These two have no clip in common.")
        return
    folder = state.text_input("Folder for the votes (must exist, outside the results)", "votes")
    path = votes_file(folder, results)
    if path is None:
        st.caption("Name a folder and the buttons work.")
    trial = st.session_state.get("trial")
    if trial is None or trial["pair"] != (one, other) or trial["clip"] not in clips:
        trial = _next_trial(one, other, clips)
    a, b = trial["order"]
    frames = {"A": sides[a][trial["clip"]], "B": sides[b][trial["clip"]]}
    show_viewer(frames, 0, "A", "B", ("side by side", "slider"))
    for column, (said, choice) in zip(st.columns(4), {"A is better": a, "No difference": TIE, "B is better": b}.items(),
                                      strict=False):  # fmt: skip
        with column:
            st.button(said, on_click=_vote, args=(path, trial, choice, clips), disabled=path is None, width="stretch")
    if path is not None:
        _show_tally(path)


def votes_file(folder: str, results: Sequence[Path]) -> Path | None:
    """Where votes go; None, with a message, for a folder that is missing or lies among the results."""
    if not folder.strip():
        return None
    path = Path(folder.strip()).expanduser()
    if not path.is_dir():
        st.warning(f"There is no folder {code(folder)}.")
        return None
    inside = [root for root in results if path.resolve().is_relative_to(root.resolve())]
    if inside:
        st.warning("That folder is among the results, which the dashboard does not change; name another.")
        return None
    return path / FILE


def record(path: Path, first: str, second: str, clip: str, choice: str) -> None:
    """Append one vote, in one write: `first` was A, `second` was B; `OSError` when it cannot be kept."""
    at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    line = json.dumps(dict(zip(COLUMNS, (at, first, second, clip, choice), strict=True)))
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, (line + "\n").encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def read_votes(path: Path) -> pd.DataFrame:
    """The recorded votes; lines that are none are left out."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and all(isinstance(row.get(name), str) for name in COLUMNS):
            rows.append({name: row[name] for name in COLUMNS})
    return pd.DataFrame(rows, columns=COLUMNS)


def _next_trial(one: str, other: str, clips: list[str]) -> dict:
    order = (one, other) if secrets.randbelow(2) else (other, one)
    trial = {"pair": (one, other), "order": order, "clip": secrets.choice(clips)}
    st.session_state["trial"] = trial
    return trial


def _vote(path: Path, trial: dict, choice: str, clips: list[str]) -> None:
    try:
        first, second = trial["order"]
        record(path, first, second, trial["clip"], choice)
    except OSError as error:
        st.error(f"The vote was not kept: {error.strerror}.")
        return
    one, other = trial["pair"]
    _next_trial(one, other, clips)


def _show_tally(path: Path) -> None:
    """What was voted so far; names are shown here, so it is closed at first."""
    table = tally(read_votes(path))
    with st.expander(f"{int(table['votes'].sum()) if len(table) else 0} votes so far"):
        st.dataframe(table, hide_index=True, width="stretch")
        st.caption("share: decided votes for the first name, low and high its 95 % interval (Wilson).")
