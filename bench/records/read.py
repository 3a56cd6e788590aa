"""Read results folders: whole runs as two data frames, and by name every file that had to be left out.

Files come from other machines, other versions and killed processes, so each footer is checked before its rows are
believed: pyarrow would otherwise fill a foreign file's missing columns with nulls and say nothing.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.records.remote import is_address, local_copy
from bench.records.schema import (
    JSON_COLUMNS,
    MEASUREMENTS,
    PACKED,
    RUNS,
    SCHEMA_VERSION,
    STATUSES,
    ResultsDirs,
    check_run_id,
    is_json,
    pack_paths,
)

READERS = 4  # part files are read at once


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
    path: Path  # of its measurements


@dataclass(frozen=True)
class Pack:
    """Many runs in one pair of files: their checked runs rows, and where their measurements are."""

    path: Path
    runs: pa.Table

    def ranks(self) -> list[tuple[str, tuple[bool, str]]]:
        """(run_id, rank) of every run, a rank as that of a part."""
        names = (self.runs[name].to_pylist() for name in ("run_id", "status", "finished_at"))
        return [(run_id, (status == "ok", at)) for run_id, status, at in zip(*names, strict=True)]

    def measurements(self) -> pa.Table:
        """The rows of the runs that `runs` names."""
        return rows_of_pack(self.path, self.runs["run_id"].to_pylist())


class BadPart(Exception):
    """Why one file cannot be used."""


def read(results_dirs: ResultsDirs) -> tuple[pd.DataFrame, pd.DataFrame, list[Problem]]:
    """All runs of one or more results folders as (runs, measurements, problems).

    A run is read whole or not at all: a torn, foreign, empty or newer file takes its run out and is named in
    `problems`. A run found in several folders, or also packed, counts once (ok beats failed, then the later one). Whole
    numbers that may be missing come as `Int64`. A folder that does not exist is a `ValueError`; an empty one gives
    empty tables. `s3://...` and other addresses that fsspec knows are copied first (`bench.records.remote`).
    """
    runs, rows, problems, _ = read_placed(results_dirs)
    return runs, rows, problems


def read_placed(results_dirs: ResultsDirs) -> tuple[pd.DataFrame, pd.DataFrame, list[Problem], dict[str, Path]]:
    """As `read`, and for every run the file that holds its measurements, for `rows_at`."""
    parts, packs, problems = read_parts(results_dirs)
    runs = to_pandas([*(part.run for part in parts.values()), *(pack.runs for pack in packs)], RUNS)
    rows = [*(part.measurements for part in parts.values()), *(pack.measurements() for pack in packs)]
    places = {run_id: part.path for run_id, part in parts.items()}
    places |= {run_id: pack.path for pack in packs for run_id, _ in pack.ranks()}
    return runs, to_pandas(rows, MEASUREMENTS), problems, places


def rows_at(places: Mapping[str, Path], run_ids: Collection[str]) -> pd.DataFrame:
    """The measurements of these runs, as `read` gives them, from their files alone; a file that has gone or was
    damaged since gives no rows.
    """
    tables: list[pa.Table] = []
    packed: dict[Path, list[str]] = {}
    for run_id in dict.fromkeys(run_ids):
        path = places.get(run_id)
        if path is not None and path.parent.name == PACKED:
            packed.setdefault(path, []).append(run_id)
        elif path is not None:
            with suppress(BadPart):
                tables.append(read_table(path, MEASUREMENTS, run_id))
    tables += [rows_of_pack(path, ids) for path, ids in packed.items()]
    return to_pandas(tables, MEASUREMENTS)


def read_parts(results_dirs: ResultsDirs) -> tuple[dict[str, Part], list[Pack], list[Problem]]:
    """The runs that `read` gives, before they are made one table: those with files of their own, and the packed."""
    problems: list[Problem] = []
    best: dict[str, Part] = {}
    packs: list[Pack] = []
    for folder in folders_of(results_dirs):
        packs += read_pack(folder, problems)
        for run_id, part in read_folder(folder, problems):
            if run_id not in best or part.rank > best[run_id].rank:
                best[run_id] = part
    return best, keep_best(packs, best), problems


def read_pack(folder: Path, problems: list[Problem]) -> list[Pack]:
    """The packed runs of one folder, none or one; what cannot be used is appended to `problems`.

    Of the rows of a sound file, those without a safe and single run_id, a known status and whole JSON are left out.
    """
    run_path, path = pack_paths(folder)
    if not (run_path.exists() or path.exists()):
        return []
    try:
        runs = read_table(run_path, RUNS)
        check_footer(path, MEASUREMENTS)
    except BadPart as error:
        problems.append(Problem(str(run_path), str(error)))
        return []
    good, seen = [], set()
    for row in runs.to_pylist():
        try:
            if check_run_id(row["run_id"]) in seen:
                raise BadPart("its run_id is there twice")
            seen.add(row["run_id"])
            _check_run(row)
            good.append(True)
        except (BadPart, ValueError) as error:
            problems.append(Problem(str(run_path), f"run {str(row['run_id'])[:40]!r}: {error}"))
            good.append(False)
    return [Pack(path, runs if all(good) else runs.filter(pa.array(good)))]


def rows_of_pack(path: Path, run_ids: Collection[str]) -> pa.Table:
    """The packed measurements of these runs; a damaged file gives none."""
    try:
        chosen = pc.field("run_id").isin(sorted(run_ids))
        there = [name for name in MEASUREMENTS.names if name in pq.read_schema(path).names]
        table = pq.read_table(path, columns=there, filters=chosen, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return MEASUREMENTS.empty_table().replace_schema_metadata(None)
    return _as_now(table, MEASUREMENTS).cast(MEASUREMENTS).replace_schema_metadata(None)


def keep_best(packs: list[Pack], best: dict[str, Part]) -> list[Pack]:
    """The packs less the runs that another pack or part has better; parts that lose are taken out of `best`."""
    owner: dict[str, tuple[tuple[bool, str], int]] = {run_id: (part.rank, -1) for run_id, part in best.items()}
    for index, pack in enumerate(packs):
        for run_id, rank in pack.ranks():
            if run_id not in owner or rank > owner[run_id][0]:
                owner[run_id] = (rank, index)
                best.pop(run_id, None)
    kept = []
    for index, pack in enumerate(packs):
        mine = [owner[run_id][1] == index for run_id, _ in pack.ranks()]
        kept.append(pack if all(mine) else Pack(pack.path, pack.runs.filter(pa.array(mine))))
    return kept


def stored_runs(results_dir: str | os.PathLike) -> set[str]:
    """Ids of the runs that need no repeat: status ok and both files sound. A missing folder holds none."""
    return {run_id for run_id, part in read_folder(Path(results_dir), []) if part.rank[0]}


def is_finished(run_path: Path) -> bool:
    """Whether the run stored at `run_path` is sound and ok."""
    return run_path.exists() and any(part.rank[0] for _, part in _read_runs([run_path], []))


def read_folder(folder: Path, problems: list[Problem]) -> Iterator[tuple[str, Part]]:
    """Every sound run of one folder that has files of its own, in the order of names; the others go to `problems`."""
    yield from _read_runs(run_files(folder), problems)


def run_files(folder: Path) -> list[Path]:
    """The runs' part files of one folder, in the order of names."""
    return sorted(path for path in folder.glob("runs/*.parquet") if not path.name.startswith("."))


def folders_of(results_dirs: ResultsDirs) -> list[Path]:
    """The results folders as paths; one that is missing is a `ValueError`."""
    listed = [results_dirs] if isinstance(results_dirs, (str, os.PathLike)) else results_dirs
    folders = [local_copy(str(folder)) if is_address(folder) else Path(folder) for folder in listed]
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"results folder {str(folder)!r} does not exist; give the folder that a run wrote to")
    return folders


def _read_runs(run_paths: list[Path], problems: list[Problem]) -> Iterator[tuple[str, Part]]:
    with ThreadPoolExecutor(READERS) as pool:
        for path, found in zip(run_paths, pool.map(_read_run, run_paths), strict=True):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                yield path.stem, found


def _read_run(run_path: Path) -> Part | Problem:
    path = run_path
    try:
        run = read_runs_file(run_path)
        ok = run["status"][0].as_py() == "ok"
        path = run_path.parent.parent / "measurements" / run_path.name
        measurements = read_table(path, MEASUREMENTS, path.stem)
        if ok and not measurements.num_rows:
            raise BadPart("holds no rows although its run has status ok")
    except BadPart as error:
        return Problem(str(path), str(error))
    return Part(run, measurements, (ok, run["finished_at"][0].as_py()), path)


def read_runs_file(path: Path) -> pa.Table:
    """The one row of a runs part file; `BadPart` when it cannot be used."""
    run = read_table(path, RUNS, path.stem)
    if run.num_rows != 1:
        raise BadPart(f"holds {run.num_rows} rows; expected one")
    _check_run(run.to_pylist()[0])
    return run


def read_table(path: Path, schema: pa.Schema, run_id: str | None = None) -> pa.Table:
    """The checked content of one file, without metadata; `BadPart` says why not. `run_id`: the only one it may hold."""
    with _opened(path, schema) as part:
        table = _as_now(part.read(columns=schema.names, use_threads=run_id is None), schema)
        table.validate(full=True)
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise BadPart(f"column {field.name} has missing values")
    if run_id is not None and set(table["run_id"].unique().to_pylist()) - {run_id}:
        raise BadPart("its run_id differs from its file name")
    return table.replace_schema_metadata(None)


def check_footer(path: Path, schema: pa.Schema) -> None:
    """`BadPart` unless `path` is a file of this table in a version that we read."""
    with _opened(path, schema):
        pass


@contextmanager
def _opened(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetFile]:
    try:
        if not path.stat().st_size:
            raise BadPart("the file is empty (0 bytes)")
        with pq.ParquetFile(path, page_checksum_verification=True) as part:
            _check_schema(part.schema_arrow, schema)
            yield part
    except FileNotFoundError:
        raise BadPart("the file is missing") from None
    except (OSError, ValueError, pa.ArrowException):
        raise BadPart("not a readable Parquet file (torn, damaged or foreign)") from None


def _as_now(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` in its order; what an older version did not have yet is empty."""
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names)


def _check_schema(found: pa.Schema, schema: pa.Schema) -> None:
    """A footer must name this project's table, a version we know and every column; extra columns are ignored.

    A column that may be empty, and came with a later version than the file's, may be absent.
    """
    name, metadata = schema.metadata[b"table"], found.metadata or {}
    version = metadata.get(b"schema_version", b"").decode(errors="replace")
    if metadata.get(b"table") != name or not version.isdecimal():
        raise BadPart(f"not a {name.decode()} file of this project")
    if int(version) > SCHEMA_VERSION:
        raise BadPart(
            f"written by a newer version (schema {version}; this one reads {SCHEMA_VERSION}): update to read it"
        )
    types = {field.name: field.type for field in found}
    if int(version) < SCHEMA_VERSION:
        types = {field.name: field.type for field in schema if field.nullable} | types
    wrong = [field.name for field in schema if types.get(field.name) != field.type]
    if wrong:
        raise BadPart(f"missing or differently typed columns: {', '.join(wrong)}")


def _check_run(row: Mapping[str, Any]) -> None:
    if row["status"] not in STATUSES:
        raise BadPart(f"unknown status {str(row['status'])[:40]!r}")
    for column in JSON_COLUMNS:
        if not is_json(row[column]):
            raise BadPart(f"column {column} is not JSON")


def to_pandas(tables: list[pa.Table], schema: pa.Schema) -> pd.DataFrame:
    types = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    whole = pa.concat_tables(tables) if tables else schema.empty_table().replace_schema_metadata(None)
    return whole.to_pandas(types_mapper=types.get)
