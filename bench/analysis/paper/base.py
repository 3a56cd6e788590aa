"""What a figure of the paper is, what it may read, and how its file is found."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.paper.latex import Cell
from bench.analysis.published import COLUMNS as PUBLISHED_COLUMNS
from bench.analysis.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN, WIDE = 3.3, 6.9  # inches: one column of the paper, and both
PACKAGE = "bench.analysis.paper.figures"


@dataclass(frozen=True)
class Material:
    """All that a figure may read. `study` takes the place of the figure's own studies; `x` and `y` are columns of the
    summary, for the figures that let one choose; `frames` is a folder of pictures, for the one that shows some, and
    `folders` are those of the results, where stored pictures lie.
    """

    results: Results
    published: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=PUBLISHED_COLUMNS))
    study: str | None = None
    x: str = "speedup"
    y: str = "psnr_source"
    frames: Path | None = None
    folders: tuple[str, ...] = ()

    def of(self, studies: Collection[str]) -> Results:
        """The finished runs of these studies, or of the chosen one."""
        runs = self.results.runs
        wanted = [self.study] if self.study else list(studies)
        return self.results.of(runs[runs["study"].isin(wanted) & (runs["status"] == "ok")]["run_id"])


@dataclass(frozen=True)
class PaperFigure:
    """One figure or table: `FIGURE` of a file in `figures/`, named as the file.

    `numbers` gives the frame that becomes the CSV file, without rows where nothing is stored; `draw` makes a drawing of
    it at a width in inches; `table` picks the rows of the LaTeX table, whose columns are `cells` (or what
    `cells` makes of these rows). Rows that share a
    value of `blocks` stand under it as a heading. `missing` says what makes the data, where that is not a study.
    """

    title: str
    studies: tuple[str, ...]
    numbers: Callable[[Material], pd.DataFrame]
    cells: tuple[Cell, ...] | Callable[[pd.DataFrame], tuple[Cell, ...]]
    draw: Callable[[pd.DataFrame, float], Figure] | None = None
    width: float = COLUMN
    table: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame
    blocks: str | None = None
    notes: tuple[str, ...] = ()
    missing: str = ""


def all_figures() -> dict[str, PaperFigure]:
    """Every figure by name, in alphabetical order."""
    folder = importlib.import_module(PACKAGE).__path__
    return {
        module.name: importlib.import_module(f"{PACKAGE}.{module.name}").FIGURE
        for module in sorted(pkgutil.iter_modules(folder), key=lambda module: module.name)
    }


def find_figure(name: str) -> PaperFigure:
    """The figure called `name`; an unknown one is a `ValueError` that suggests the nearest."""
    known = all_figures()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise ValueError(
            f"unknown figure {name!r}; " + (f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}")
        )
    return known[name]


def missing(figure: PaperFigure, material: Material) -> str:
    """One line for a figure without rows: what there is none of, and what makes it."""
    if figure.missing:
        return figure.missing
    of_study = f" of study {material.study!r} with its numbers" if material.study else ""
    return f"no stored run{of_study}; python -m bench multirun ablations={figure.studies[0]} makes them"
