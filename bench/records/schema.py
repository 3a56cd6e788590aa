"""The columns of the two tables, with their types, units and what may be missing.

A new metric is a new value in the `metric` column of `measurements`, never a new column: old files stay readable.
`results/README.md` is the same dictionary in words; a test keeps the two together.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

import pyarrow as pa

SCHEMA_VERSION = 1
STATUSES = ("ok", "error", "oom", "crashed", "timeout")
JSON_COLUMNS = ("spec_json", "device_json", "packages_json", "warnings_json")

PACKED = "packed"  # the folder of runs that were packed into one pair of files

Folder = TypeVar("Folder", bound=PurePath)
ResultsDirs = str | os.PathLike | Sequence[str | os.PathLike]

_SAFE_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_TEXT, _INTEGER, _NUMBER, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()


def _field(name: str, kind: pa.DataType, unit: str = "", null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"unit": unit})


def _schema(table: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={"table": table, "schema_version": str(SCHEMA_VERSION)})


RUNS = _schema(
    "runs",
    [
        _field("run_id", _TEXT),
        _field("schema_version", _INTEGER),
        _field("study", _TEXT),
        _field("label", _TEXT),
        _field("status", _TEXT),
        _field("error", _TEXT, null=True),
        _field("started_at", _TEXT, "ISO 8601, UTC"),
        _field("finished_at", _TEXT, "ISO 8601, UTC"),
        _field("wall_s", _NUMBER, "s"),
        _field("protocol_id", _TEXT),
        _field("spec_json", _TEXT, "JSON"),
        _field("command", _TEXT),
        _field("device_id", _TEXT),
        _field("device_name", _TEXT),
        _field("device_json", _TEXT, "JSON"),
        _field("git_sha", _TEXT),
        _field("git_dirty", _FLAG, null=True),
        _field("packages_json", _TEXT, "JSON"),
        _field("warnings_json", _TEXT, "JSON"),
    ],
)

MEASUREMENTS = _schema(
    "measurements",
    [
        _field("run_id", _TEXT),
        _field("arm", _TEXT),
        _field("clip", _TEXT, null=True),
        _field("frame", _INTEGER, null=True),
        _field("stage", _TEXT, null=True),
        _field("metric", _TEXT),
        _field("metric_version", _TEXT),
        _field("unit", _TEXT),
        _field("higher_is_better", _FLAG),
        _field("against", _TEXT, null=True),
        _field("repeat", _INTEGER, null=True),
        _field("value", _NUMBER, "see the unit column", null=True),
        _field("note", _TEXT, null=True),
    ],
)


def check_run_id(run_id: object) -> str:
    """`run_id` itself when it is a safe file name, else a `ValueError`."""
    if not isinstance(run_id, str) or not _SAFE_RUN_ID.fullmatch(run_id):
        raise ValueError(
            f"run_id {run_id!r} is not a safe file name; use at most 120 letters, digits, '.', '_' and '-'"
        )
    return run_id


def part_paths(results_dir: Folder, run_id: str) -> tuple[Folder, Folder]:
    """Where the runs row and the measurements of one run live."""
    name = f"{check_run_id(run_id)}.parquet"
    return results_dir / "runs" / name, results_dir / "measurements" / name


def pack_paths(results_dir: Path) -> tuple[Path, Path]:
    """Where a folder's packed runs and their measurements live."""
    return results_dir / PACKED / "runs.parquet", results_dir / PACKED / "measurements.parquet"


def is_json(text: object) -> bool:
    """Whether `text` is JSON text."""
    try:
        json.loads(text)  # type: ignore[arg-type]
    except (RecursionError, TypeError, ValueError):
        return False
    return True


def measurement(
    run_id: str,
    arm: str,
    metric: str,
    value: float | None,
    *,
    unit: str,
    higher_is_better: bool,
    metric_version: str = "1",
    against: str | None = None,
    clip: str | None = None,
    frame: int | None = None,
    stage: str | None = None,
    repeat: int | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    """One row of `measurements`; a missing value (None) needs a note that says why."""
    row = {"run_id": run_id, "arm": arm, "clip": clip, "frame": frame, "stage": stage, "metric": metric}
    row |= {"metric_version": metric_version, "unit": unit, "higher_is_better": higher_is_better, "against": against}
    return row | {"repeat": repeat, "value": value, "note": note}
