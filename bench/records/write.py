"""Store one run so that a reader sees all of it or nothing.

Each run is a pair of part files: `measurements/<run_id>.parquet`, then `runs/<run_id>.parquet`. Both are written
beside their final name, synced and renamed; the second rename is the commit point. A process killed at any moment
leaves a whole run or none, and several machines can write into one folder.
"""

from __future__ import annotations

import numbers
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.records.read import is_finished
from bench.records.remote import cache_root, is_address, put_run
from bench.records.schema import (
    JSON_COLUMNS,
    MEASUREMENTS,
    RUNS,
    SCHEMA_VERSION,
    STATUSES,
    check_run_id,
    is_json,
    part_paths,
)
from bench.records.stored import is_stored

STALE_PARTIAL_S = 3600.0  # a partial file older than this belongs to a killed process
SEND_AGAIN_S = (1.0, 5.0, 25.0)  # waits before an address that failed is tried again

Row = Mapping[str, Any]


def write_run(results_dir: str | os.PathLike, run_row: Row, measurement_rows: Iterable[Row]) -> bool:
    """Store one run; True once it is on disk, False when a stored ok run was kept in place of a failed repeat.

    `run_row` has exactly the columns of `RUNS` (`schema_version` may be left out), every measurement row exactly those
    of `MEASUREMENTS`. Raises `ValueError` for a wrong key or type, an unsafe or differing `run_id`, an ok run with no
    measurement, a missing value with no note, and a folder that cannot be written. `results_dir` may be an address.
    """
    if is_address(results_dir):
        return _write_run_there(str(results_dir), run_row, measurement_rows)
    run_row = {"schema_version": SCHEMA_VERSION, **run_row}
    rows = [dict(row) for row in measurement_rows]
    runs, measurements = to_table([run_row], RUNS), to_table(rows, MEASUREMENTS)
    check_run(run_row, rows)
    run_path, measurement_path = part_paths(Path(results_dir), run_row["run_id"])
    if run_row["status"] != "ok" and is_finished(run_path):
        return False
    try:
        write_atomically(measurement_path, lambda stream: _write_table(measurements, stream))
        write_atomically(run_path, lambda stream: _write_table(runs, stream))
        sweep_partials(run_path.parent, measurement_path.parent)
    except OSError as error:
        raise ValueError(f"cannot store run {run_row['run_id']} in {results_dir}: {error.strerror or error}") from error
    return True


def check_folder(results_dir: str | os.PathLike) -> None:
    """`ValueError` for a folder that runs cannot be stored in: to be known before hours of work, not after.

    An address is taken as it is.
    """
    if is_address(results_dir):
        return
    folder = Path(results_dir) / "runs"
    probe = folder / f".{uuid.uuid4().hex[:12]}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"results cannot be stored in {results_dir}: {error.strerror}; set paths.results=FOLDER"
        ) from error


def _write_run_there(address: str, run_row: Row, measurement_rows: Iterable[Row]) -> bool:
    """As `write_run`, by way of a folder of this machine, where the run stays if it cannot be sent."""
    run_id = check_run_id(run_row["run_id"])
    outbox = cache_root() / "outbox" / f"{run_id}-{uuid.uuid4().hex[:8]}"
    write_run(outbox, run_row, measurement_rows)
    for wait_s in (*SEND_AGAIN_S, None):
        try:
            wanted = run_row["status"] == "ok" or not is_stored(address, run_id)
            if wanted:
                put_run(outbox, run_id, address)
            break
        except ValueError as error:
            if wait_s is None:
                way_out = f"it is kept: python -m bench merge {outbox} --results {address}"
                raise ValueError(f"cannot store run {run_id}: {error}; {way_out}") from error
            time.sleep(wait_s)
    shutil.rmtree(outbox)
    return wanted


def check_run(run_row: Row, rows: list[dict[str, Any]]) -> None:
    """Refuse with a `ValueError` what the column types cannot express."""
    run_id = check_run_id(run_row["run_id"])
    if run_row["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version is {run_row['schema_version']!r}; this version writes {SCHEMA_VERSION}")
    if run_row["status"] not in STATUSES:
        raise ValueError(f"status {run_row['status']!r} is unknown; use one of {', '.join(STATUSES)}")
    if run_row["status"] == "ok" and not rows:
        raise ValueError(f"run {run_id} has status ok but no measurement")
    for column in JSON_COLUMNS:
        if not is_json(run_row[column]):
            raise ValueError(f"column {column} of run {run_id} is not JSON text")
    for row in rows:
        if row["run_id"] != run_id:
            raise ValueError(f"a measurement of run {run_id} carries run_id {row['run_id']!r}")
        if row["value"] is None and not row["note"]:
            raise ValueError(f"measurement {row['metric']!r} of run {run_id} has no value and no note that says why")


def to_table(rows: list[Any], schema: pa.Schema) -> pa.Table:
    """Rows as a table of exactly `schema`; a wrong key, type or missing value is a `ValueError` naming the column."""
    name = schema.metadata[b"table"].decode()
    for row in rows:
        if row.keys() != set(schema.names):
            raise ValueError(f"row keys differ from the {name} table: {sorted(row.keys() ^ set(schema.names))}")
    columns = []
    for field in schema:
        values = [row[field.name] for row in rows]
        for value in values:
            if value is None and not field.nullable:
                raise ValueError(f"column {field.name} of the {name} table must not be null")
            if value is not None and not _fits(value, field.type):
                raise ValueError(f"column {field.name} of the {name} table expects {field.type}, not {value!r}")
        columns.append(pa.array([_utf8(value) for value in values], type=field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _fits(value: object, kind: pa.DataType) -> bool:
    """Whether `value` is stored as it is; pyarrow alone would cut 1.5 down to 1 in an integer column."""
    if kind == pa.bool_() or isinstance(value, (bool, np.bool_)):
        return kind == pa.bool_() and isinstance(value, (bool, np.bool_))
    if kind == pa.int64():
        return isinstance(value, numbers.Integral) and -(2**63) <= int(value) < 2**63
    if kind == pa.float64():
        return isinstance(value, numbers.Real)
    return isinstance(value, str)


def _utf8(value: object) -> object:
    """Text that can be stored: file names with undecodable bytes keep them as escapes such as `\\udcff`."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write beside `path`, sync, rename: a reader sees the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{path.stem}.{uuid.uuid4().hex[:12]}.partial"
    try:
        with partial.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a power cut
    finally:
        os.close(folder)


def write_bytes(path: Path, content: bytes) -> None:
    """`content` as a file, whole or not at all."""
    write_atomically(path, lambda stream: stream.write(content))


def _write_table(table: pa.Table, stream: BinaryIO) -> None:
    pq.write_table(table, stream, compression="zstd", write_page_checksum=True)


def sweep_partials(*folders: Path) -> None:
    """Remove what killed writers left; partials of living writers are younger."""
    for folder in folders:
        for partial in folder.glob(".*.partial"):
            try:
                if time.time() - partial.stat().st_mtime > STALE_PARTIAL_S:
                    partial.unlink()
            except OSError:
                continue  # another writer swept it, its owner has just renamed it, or it is somebody else's
