"""From the folders a user names to one cached board; every failure becomes a message on the page.

The cache key holds the name, size and time of each part file, so a file that is replaced while the page is open is read
again, and a page without news reads nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from bench import analysis, records
from bench.analysis import Column
from dashboard import state

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Board:
    """What the pages show: one row per run, what its columns mean, and the files that were left out."""

    summary: pd.DataFrame
    columns: Mapping[str, Column]
    problems: list[records.Problem]


def choose_folders() -> list[str]:
    """The results folders: from the page's own field, which starts with the URL's, then the command line's."""
    default = ", ".join(folders_from_arguments(sys.argv[1:]))
    with st.sidebar:
        text = state.text_input("Results folders, separated by commas", "results", default)
    return [name.strip() for name in text.split(",") if name.strip()]


def folders_from_arguments(arguments: list[str]) -> list[str]:
    """Value of `--results DIR [DIR ...]`, `results` when it is not given; other arguments are left alone."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--results", nargs="+", default=["results"])
    return parser.parse_known_args(arguments)[0].results


def load_board(folders: list[str]) -> Board:
    """The board of these folders; a folder that cannot be read ends the page with a message."""
    if not folders:
        st.info("Name a results folder above.")
        st.stop()
    try:
        board = _load(tuple(folders), stamp(folders))
    except (ValueError, OSError) as error:
        st.warning(f"These results cannot be read. {code(str(error))}")
        st.stop()
    if board.problems:
        st.warning(f"{len(board.problems)} file(s) could not be read and were left out:")
        st.code("\n".join(map(str, board.problems[:20])), language=None)
    if board.summary.empty:
        st.info("No run is stored here yet. Start with `python -m bench multirun`.")
        st.stop()
    return board


@st.cache_data(max_entries=4, show_spinner="Reading results")
def _load(folders: tuple[str, ...], key: Stamp) -> Board:
    """Read and summarise; `key` is only there for the cache to compare."""
    results = analysis.load(list(folders))
    return Board(analysis.summarise(results), analysis.columns_of(results), results.problems)


def stamp(folders: list[str]) -> Stamp:
    """Name, size in bytes and time in ns of every part file."""
    found = []
    for folder in folders:
        for part in ("runs", "measurements"):
            path = Path(folder) / part
            if path.is_dir():
                with os.scandir(path) as entries:
                    found += [(e.path, e.stat().st_size, e.stat().st_mtime_ns) for e in entries]
    return tuple(sorted(found))


def code(text: str) -> str:
    """`text` as a Markdown code span, where nothing in it is markup."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"


def csv_bytes(table: pd.DataFrame) -> bytes:
    """CSV whose text cells no spreadsheet takes for a formula."""
    safe = table.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(
                lambda cell: f"'{cell}" if str(cell).startswith(("=", "+", "-", "@", "\t")) else cell
            )
    return safe.to_csv(index=False).encode()
