"""From the folders a user names to one cached board; every failure becomes a message on the page.

The cache key holds the name, size and time of each part file, so a file that is replaced while the page is open is read
again, and a page without news reads nothing. What a page needs of single runs is read when it asks for it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from bench import analysis, records
from bench.analysis import Column
from bench.analysis.export import csv_bytes, latex_text, parquet_bytes
from bench.analysis.points import plan_colours
from bench.records.remote import is_address, local_copy
from bench.records.schema import PACKED
from dashboard import state
from dashboard.cache import digest

__all__ = ["Board", "choose_folders", "code", "csv_bytes", "downloads", "load_board", "plain"]

Stamp = tuple[tuple[str, int, int], ...]

FOLLOWERS = ("of", "runs", "decoder", "one", "left", "right")  # widgets that start from the chosen runs
_MARKUP = set("\\`*_{}[]<>()#+-.!|~$:&")
LONGEST = 300  # characters of stored text in a message


@dataclass(frozen=True)
class Board:
    """What the pages show. `summary` has one row per run and `arms` one per arm of a comparison; `runs` are the runs as
    stored; `columns` says what the numbers mean, `colours` a plan's or decoder's colour; `folders` are paths here.
    """

    summary: pd.DataFrame
    arms: pd.DataFrame
    runs: pd.DataFrame
    columns: Mapping[str, Column]
    colours: Mapping[str, str]
    places: Mapping[str, Path]
    problems: list[records.Problem]
    folders: tuple[Path, ...]
    key: str

    def results(self, run_ids: Sequence[str]) -> analysis.Results:
        """These runs with all their measurements; ids that are not stored are left out."""
        known = tuple(run_id for run_id in dict.fromkeys(run_ids) if run_id in self.places)
        rows = _rows(self.key, known, self.places)
        return analysis.Results(self.runs[self.runs["run_id"].isin(known)], rows)

    def run(self, run_id: str) -> dict | None:
        """The stored row of one run."""
        found = self.runs[self.runs["run_id"] == run_id]
        return found.iloc[0].where(found.iloc[0].notna(), None).to_dict() if len(found) else None


def choose_folders() -> list[str]:
    """The results folders: from the page's own field, which starts with the URL's, then the command line's."""
    default = ", ".join(folders_from_arguments(sys.argv[1:]))
    with st.sidebar:
        text = state.text_input(
            "Results folders, separated by commas", "results", default,
            help="Paths on this machine, or addresses such as s3://bucket/results",
        )  # fmt: skip
    return [name.strip() for name in text.split(",") if name.strip()]


def folders_from_arguments(arguments: list[str]) -> list[str]:
    """Value of `--results DIR [DIR ...]`, `results` when it is not given; other arguments are left alone."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--results", nargs="+", default=["results"])
    return parser.parse_known_args(arguments)[0].results


def load_board(folders: list[str]) -> Board:
    """The board of these folders; a folder that cannot be read ends the page with a message."""
    if not folders:
        st.info("Name a results folder in the field at the left.")
        st.stop()
    try:
        board = _load(tuple(folders), stamp(folders))
    except (ValueError, OSError) as error:
        st.warning(f"These results cannot be read. {code(str(error))}")
        st.stop()
    if board.problems:
        st.warning(f"{len(board.problems)} file(s) could not be read and were left out:")
        st.code("\n".join(str(problem)[:LONGEST] for problem in board.problems[:20]), language=None)
    if board.summary.empty:
        st.info("No run is stored here yet. Start with `python -m bench multirun`.")
        st.stop()
    state.follow_choice(FOLLOWERS)
    _show_chosen(board)
    return board


def _show_chosen(board: Board) -> None:
    """How many runs are chosen, and a button that forgets them."""
    runs = [run_id for run_id in state.chosen() if run_id in board.places]
    if runs:
        with st.sidebar:
            st.caption(f"{len(runs)} run(s) chosen; Frames, Training and Runs start with them.")
            st.button("Forget the chosen runs", on_click=state.choose, args=([],), key="forget chosen")


@st.cache_resource(max_entries=3, show_spinner="Reading results")
def _load(folders: tuple[str, ...], key: Stamp) -> Board:
    """Read and summarise; `key` is there for the cache to compare. Pages take parts of the tables, change nothing."""
    found = digest(list(folders), key)
    paths = tuple(local_copy(folder) if is_address(folder) else Path(folder) for folder in folders)
    summary = found.summary.assign(kind="run")
    colours = plan_colours([*summary["plan"].dropna(), *(found.arms["plan"] if len(found.arms) else [])])
    name = hashlib.sha256(repr((folders, key)).encode()).hexdigest()
    return Board(summary, found.arms, found.runs, found.columns, colours, found.places, found.problems, paths, name)


@st.cache_data(max_entries=32, show_spinner="Reading measurements")
def _rows(key: str, run_ids: tuple[str, ...], _places: Mapping[str, Path]) -> pd.DataFrame:
    """The measurements of these runs; `key` names the board for the cache to compare."""
    return records.rows_at(_places, run_ids)


def stamp(folders: list[str]) -> Stamp:
    """Name, size in bytes and time in ns of every part file; of an address, those of its copy here."""
    found = []
    for folder in folders:
        root = local_copy(folder) if is_address(folder) else Path(folder)
        for part in ("runs", "measurements", PACKED):
            path = root / part
            if path.is_dir():
                with os.scandir(path) as entries:
                    found += [(e.path, e.stat().st_size, e.stat().st_mtime_ns) for e in entries]
    return tuple(sorted(found))


def code(text: str) -> str:
    """`text` as a Markdown code span, where nothing in it is markup."""
    return "`" + " ".join(text.replace("`", "'").split())[:LONGEST] + "`"


def plain(text: str) -> str:
    """`text` as Markdown in which every letter stands for itself."""
    words = " ".join(str(text).split())
    return "".join(f"\\{letter}" if letter in _MARKUP else letter for letter in words)


def downloads(table: pd.DataFrame, name: str) -> None:
    """Buttons that give `table` as CSV, Parquet and LaTeX; the files are made when one is clicked."""
    kinds: dict[str, tuple[str, str, Callable[[pd.DataFrame], str | bytes]]] = {
        "CSV": ("csv", "text/csv", csv_bytes),
        "Parquet": ("parquet", "application/vnd.apache.parquet", parquet_bytes),
        "LaTeX": ("tex", "text/x-tex", latex_text),
    }
    for column, (kind, (ending, mime, make)) in zip(st.columns([1, 1, 1, 5]), kinds.items(), strict=False):
        with column:
            st.download_button(
                kind, _maker(make, table), f"{name}.{ending}", mime,
                key=f"download {name} {ending}", on_click="ignore", width="stretch",
                help=f"Download this table as {kind}",
            )  # fmt: skip


def _maker(make: Callable[[pd.DataFrame], str | bytes], table: pd.DataFrame) -> Callable[[], str | bytes]:
    return lambda: make(table)
