"""Read results folders: whole runs as two data frames, and by name every file that had to be left out.

Files come from other machines, other versions and killed processes, so each footer is checked before its rows are
believed: pyarrow would otherwise fill a foreign file's missing columns with nulls and say nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.records.schema import JSON_COLUMNS, MEASUREMENTS, RUNS, SCHEMA_VERSION, STATUSES, ResultsDirs, is_json


@dataclass(frozen=True)
class Problem:
    """A result file that was left out, and why, in one line."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Part:
    """One run as read from disk; of two parts with one run id the larger `rank` wins (ok before failed, then later)."""

    run: pa.Table
    measurements: pa.Table
    rank: tuple[bool, str]


class _BadPart(Exception):
    """Why one part file cannot be used."""


def read(results_dirs: ResultsDirs) -> tuple[pd.DataFrame, pd.DataFrame, list[Problem]]:
    """All runs of one or more results folders as (runs, measurements, problems).

    A run is read whole or not at all: a torn, foreign, empty or newer file takes its run out and is named in
    `problems`. A run found in several folders counts once (ok beats failed, then the later one). Whole numbers that may
    be missing come as `Int64`. A folder that does not exist is a `ValueError`; an empty one gives empty tables.
    """
    problems: list[Problem] = []
    best: dict[str, Part] = {}
    for folder in folders_of(results_dirs):
        for run_id, part in read_folder(folder, problems):
            if run_id not in best or part.rank > best[run_id].rank:
                best[run_id] = part
    runs = _to_pandas([part.run for part in best.values()], RUNS)
    return runs, _to_pandas([part.measurements for part in best.values()], MEASUREMENTS), problems


def stored_runs(results_dir: str | os.PathLike) -> set[str]:
    """Ids of the runs that need no repeat: status ok and both files sound. A missing folder holds none."""
    return {run_id for run_id, part in read_folder(Path(results_dir), []) if part.rank[0]}


def is_finished(run_path: Path) -> bool:
    """Whether the run stored at `run_path` is sound and ok."""
    return run_path.exists() and any(part.rank[0] for _, part in _read_runs([run_path], []))


def read_folder(folder: Path, problems: list[Problem]) -> Iterator[tuple[str, Part]]:
    """Every sound run of one folder, in the order of names; the others are appended to `problems`."""
    paths = sorted(path for path in folder.glob("runs/*.parquet") if not path.name.startswith("."))
    yield from _read_runs(paths, problems)


def folders_of(results_dirs: ResultsDirs) -> list[Path]:
    """The results folders as paths; one that is missing is a `ValueError`."""
    listed = [results_dirs] if isinstance(results_dirs, (str, os.PathLike)) else results_dirs
    folders = [Path(folder) for folder in listed]
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"results folder {str(folder)!r} does not exist; give the folder that a run wrote to")
    return folders


def _read_runs(run_paths: list[Path], problems: list[Problem]) -> Iterator[tuple[str, Part]]:
    for run_path in run_paths:
        path = run_path
        try:
            run = _read_part(run_path, RUNS)
            _check_run_row(run)
            ok = run["status"][0].as_py() == "ok"
            path = run_path.parent.parent / "measurements" / run_path.name
            measurements = _read_part(path, MEASUREMENTS)
            if ok and not measurements.num_rows:
                raise _BadPart("holds no rows although its run has status ok")
        except _BadPart as error:
            problems.append(Problem(str(path), str(error)))
        else:
            yield run_path.stem, Part(run, measurements, (ok, run["finished_at"][0].as_py()))


def _read_part(path: Path, schema: pa.Schema) -> pa.Table:
    """The checked content of one part file, without metadata."""
    try:
        if not path.stat().st_size:
            raise _BadPart("the file is empty (0 bytes)")
        with pq.ParquetFile(path, page_checksum_verification=True) as part:
            _check_schema(part.schema_arrow, schema)
            table = part.read(columns=schema.names, use_threads=False).select(schema.names)
            table.validate(full=True)
    except FileNotFoundError:
        raise _BadPart("the file is missing") from None
    except (OSError, ValueError, pa.ArrowException):
        raise _BadPart("not a readable Parquet file (torn, damaged or foreign)") from None
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise _BadPart(f"column {field.name} has missing values")
    if set(table["run_id"].unique().to_pylist()) - {path.stem}:
        raise _BadPart("its run_id differs from its file name")
    return table.replace_schema_metadata(None)


def _check_schema(found: pa.Schema, schema: pa.Schema) -> None:
    """A footer must name this project's table, a version we know and every column; extra columns are ignored."""
    name, metadata = schema.metadata[b"table"], found.metadata or {}
    version = metadata.get(b"schema_version", b"").decode(errors="replace")
    if metadata.get(b"table") != name or not version.isdecimal():
        raise _BadPart(f"not a {name.decode()} file of this project")
    if int(version) > SCHEMA_VERSION:
        raise _BadPart(
            f"written by a newer version (schema {version}; this one reads {SCHEMA_VERSION}): update to read it"
        )
    types = {field.name: field.type for field in found}
    wrong = [field.name for field in schema if types.get(field.name) != field.type]
    if wrong:
        raise _BadPart(f"missing or differently typed columns: {', '.join(wrong)}")


def _check_run_row(run: pa.Table) -> None:
    if run.num_rows != 1:
        raise _BadPart(f"holds {run.num_rows} rows; expected one")
    row = run.to_pylist()[0]
    if row["status"] not in STATUSES:
        raise _BadPart(f"unknown status {row['status']!r}")
    for column in JSON_COLUMNS:
        if not is_json(row[column]):
            raise _BadPart(f"column {column} is not JSON")


def _to_pandas(tables: list[pa.Table], schema: pa.Schema) -> pd.DataFrame:
    types = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    whole = pa.concat_tables(tables) if tables else schema.empty_table().replace_schema_metadata(None)
    return whole.to_pandas(types_mapper=types.get)
