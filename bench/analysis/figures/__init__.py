"""Interactive figures: a data frame in, a plotly figure out. Needs plotly; the rest of the package does not.

One file per kind. Text from stored files is escaped in every figure: it cannot become markup.
"""

from bench.analysis.figures.pareto import FADED, pareto_figure

__all__ = ["FADED", "pareto_figure"]
