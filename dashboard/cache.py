"""The summary of large results, kept on disk so that the next start need not compute it again.

It lies in the user's cache folder, never among the results, under a name that holds the files' stamp and the code that
made it: any change of either makes another one. Removing the folder is always safe.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from bench import analysis, records
from bench.analysis import Column
from bench.analysis.arm_rows import arm_rows
from bench.records.remote import cache_root

MOST_KEPT = 8  # summaries on disk; the oldest go
_TABLES = ("summary", "arms", "runs")


@dataclass(frozen=True)
class Digest:
    """What is computed from all rows once: the summaries, the runs' rows, and where each run's measurements are."""

    summary: pd.DataFrame
    arms: pd.DataFrame
    runs: pd.DataFrame
    columns: Mapping[str, Column]
    places: Mapping[str, Path]
    problems: list[records.Problem]


def digest(folders: list[str], stamp: object) -> Digest:
    """The digest of these folders: from disk where the same one was made before, else computed and kept."""
    path = cache_root() / "dashboard" / _name(folders, stamp)
    try:
        return _read(path)
    except (OSError, ValueError, KeyError, TypeError):
        made = _compute(folders)
    with contextlib.suppress(OSError):  # a full or read-only disk costs the next start some seconds
        _write(made, path)
    return made


def _compute(folders: list[str]) -> Digest:
    stored, measurements, problems, places = records.read_placed(folders)
    runs = analysis.with_short_names(stored)
    results = analysis.Results(runs, measurements, problems)
    return Digest(analysis.summarise(results), arm_rows(results), runs, analysis.columns_of(results), places, problems)


def _name(folders: list[str], stamp: object) -> str:
    code = hashlib.sha256()
    for package in (analysis, records):
        for path in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            code.update(path.read_bytes())
    code.update(Path(__file__).read_bytes())
    return hashlib.sha256(repr((folders, stamp, code.hexdigest(), pd.__version__)).encode()).hexdigest()[:32]


def _write(made: Digest, path: Path) -> None:
    partial = path.parent / f".{uuid.uuid4().hex}"
    partial.mkdir(parents=True)
    try:
        for name in _TABLES:
            getattr(made, name).to_parquet(partial / f"{name}.parquet")
        rest = {
            "columns": [asdict(column) for column in made.columns.values()],
            "places": {run_id: str(place) for run_id, place in made.places.items()},
            "problems": [asdict(problem) for problem in made.problems],
        }
        (partial / "rest.json").write_text(json.dumps(rest), encoding="utf-8")
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    kept = sorted((entry for entry in path.parent.iterdir() if entry.is_dir()), key=lambda entry: entry.stat().st_mtime)
    for old in kept[:-MOST_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _read(path: Path) -> Digest:
    summary, arms, runs = (pd.read_parquet(path / f"{name}.parquet") for name in _TABLES)
    rest = json.loads((path / "rest.json").read_text(encoding="utf-8"))
    columns = {column["name"]: Column(**column) for column in rest["columns"]}
    places = {run_id: Path(place) for run_id, place in rest["places"].items()}
    return Digest(summary, arms, runs, columns, places, [records.Problem(**problem) for problem in rest["problems"]])
