"""The paper's figures and tables from stored results: numbers as CSV and LaTeX, drawings as PDF, PNG or SVG.

One file per figure in `figures/`; docs/figures.md says how to add one. Numbers are plain data frames and need no
plotting package; matplotlib is imported when something is drawn.
"""

from bench.analysis.paper.base import Material, PaperFigure, all_figures, find_figure, missing
from bench.analysis.paper.output import FORMATS, write

__all__ = ["FORMATS", "Material", "PaperFigure", "all_figures", "find_figure", "missing", "write"]
