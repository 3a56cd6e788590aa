"""From stored rows to numbers, tables and figures: a data frame in, a value out.

`load` reads results folders, `summarise` makes one row per run, `pareto_front` marks what nothing else beats, `table`,
`figures` (for the dashboard) and `paper` show it. Statistics are computed here, on reading; the stored rows are raw. No
torch, no Hydra.
"""

from bench.analysis import arms, end_to_end, redundancy, stages, table, vbench2
from bench.analysis.columns import Column, columns_of
from bench.analysis.pareto import pareto_front
from bench.analysis.results import Results, load, with_short_names
from bench.analysis.summary import summarise

__all__ = [
    "Column",
    "Results",
    "arms",
    "columns_of",
    "end_to_end",
    "load",
    "pareto_front",
    "redundancy",
    "stages",
    "summarise",
    "table",
    "vbench2",
    "with_short_names",
]
