"""Look a results folder over: what is sound, what cannot be read, what killed processes left. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.records.read import Problem, read_parts
from bench.records.schema import check_run_id


@dataclass(frozen=True)
class Checked:
    """What one results folder holds. statuses: sound runs by how they ended. rows: their measurements.

    problems: files whose runs are lost to readers. leftovers: files that readers pass over and that may be removed.
    """

    statuses: dict[str, int]
    rows: int
    problems: list[Problem]
    leftovers: list[Problem]


def check(folder: Path) -> Checked:
    """Read every file of a results folder; `ValueError` where there is none."""
    parts, packs, problems = read_parts(folder)
    statuses = Counter(part.run["status"][0].as_py() for part in parts.values())
    for pack in packs:
        statuses.update(pack.runs["status"].to_pylist())
    rows = sum(part.measurements.num_rows for part in parts.values())
    rows += sum(pack.measurements().num_rows for pack in packs)
    return Checked(dict(sorted(statuses.items())), rows, problems, list(_leftovers(folder)))


def _leftovers(folder: Path) -> Iterator[Problem]:
    """What lies between the part files and belongs to no run."""
    for kind in ("measurements", "runs"):
        for path in sorted((folder / kind).iterdir()) if (folder / kind).is_dir() else []:
            if reason := _why_no_part(path, folder):
                yield Problem(str(path), reason)


def _why_no_part(path: Path, folder: Path) -> str | None:
    if path.suffix == ".partial":
        return "half a file: being written, or left by a killed process; the next run stored here removes old ones"
    if path.suffix != ".parquet" or path.name.startswith("."):
        return "no file of this project"
    try:
        check_run_id(path.stem)
    except ValueError as error:
        return str(error)
    if path.parent.name == "measurements" and not (folder / "runs" / path.name).exists():
        return "no run names it: its process ended before the run was stored"
    return None
