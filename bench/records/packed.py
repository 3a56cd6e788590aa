"""Thousands of runs in two files: what a folder of part files is packed into for fast reading.

    <folder>/packed/runs.parquet           every runs row
    <folder>/packed/measurements.parquet   every measurement, rows of one run together, in the order of run ids

Part files stay what a runner writes; packing copies. Rows of a few runs are found by the statistics of row groups.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.records.read import Problem, read_parts
from bench.records.schema import MEASUREMENTS, RUNS, ResultsDirs, pack_paths
from bench.records.write import write_atomically

ROWS_PER_GROUP = 50_000


def pack(sources: ResultsDirs, target: str | os.PathLike) -> tuple[int, list[Problem]]:
    """Write all runs of `sources` into the packed files of `target`: how many runs, and the files left out.

    Sources are not changed; of runs with one id the better is kept, as when reading. Raises `ValueError` for a source
    that does not exist.
    """
    parts, packs, problems = read_parts(sources)
    runs = [*(part.run for part in parts.values()), *(found.runs for found in packs)]
    rows = [*(part.measurements for part in parts.values()), *(found.measurements() for found in packs)]
    if runs:
        write_pack(target, pa.concat_tables(runs), pa.concat_tables(rows))
    return sum(table.num_rows for table in runs), problems


def write_pack(target: str | os.PathLike, runs: pa.Table, measurements: pa.Table) -> None:
    """Write both tables, which must have the columns of the schema, as packed files; measurements first."""
    run_path, path = pack_paths(Path(target))
    for at, table, schema in ((path, measurements, MEASUREMENTS), (run_path, runs, RUNS)):
        index = pc.sort_indices(table, sort_keys=[("run_id", "ascending")])  # stable: rows of a run keep order
        ordered = table.take(index).select(schema.names).cast(schema)
        write_atomically(at, functools.partial(_write_table, ordered))


def _write_table(table: pa.Table, stream: BinaryIO) -> None:
    pq.write_table(table, stream, compression="zstd", row_group_size=ROWS_PER_GROUP, write_page_checksum=True)
