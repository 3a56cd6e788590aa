"""Bring the results of several machines into one folder."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.records.read import Problem, folders_of, read_folder, run_files
from bench.records.remote import fetch_run, is_address, put_run
from bench.records.schema import ResultsDirs, pack_paths, part_paths
from bench.records.write import write_bytes


@dataclass(frozen=True)
class MergeReport:
    """What `merge` did: run ids copied, run ids where the target already held the better row, files left out."""

    copied: list[str]
    kept: list[str]
    problems: list[Problem]


def merge(sources: ResultsDirs, target: str | os.PathLike) -> MergeReport:
    """Copy whole runs from `sources` into `target`; doing it twice is doing it once, in any order of sources.

    Where both hold a run, an ok row beats a failed one, then the later `finished_at` wins. Damaged files are reported
    and left where they are. Sources and target may be addresses. Raises `ValueError` for a source that does not exist.
    """
    if is_address(target):
        return _merge_there(sources, str(target))
    target, report = Path(target), MergeReport([], [], [])
    held = {run_id: part.rank for run_id, part in read_folder(target, report.problems)}
    for source in folders_of(sources):
        if pack_paths(source)[0].exists():
            report.problems.append(Problem(str(pack_paths(source)[0]), "packed runs are read as they are, not merged"))
        for run_id, part in read_folder(source, report.problems):
            if run_id in held and held[run_id] >= part.rank:
                report.kept.append(run_id)
            else:
                held[run_id] = part.rank
                _copy_run(run_id, source, target)
                report.copied.append(run_id)
    return report


def _merge_there(sources: ResultsDirs, address: str) -> MergeReport:
    """What `address` holds of these runs comes here, is merged, and what was copied goes back."""
    with tempfile.TemporaryDirectory() as folder:
        for source in folders_of(sources):
            for path in run_files(source):
                fetch_run(address, path.stem, Path(folder))
        report = merge(sources, folder)
        for run_id in report.copied:
            put_run(Path(folder), run_id, address)
    return report


def _copy_run(run_id: str, source: Path, target: Path) -> None:
    """Measurements first, the runs row last, as when they were written."""
    from_run, from_measurements = part_paths(source, run_id)
    to_run, to_measurements = part_paths(target, run_id)
    for from_path, to_path in ((from_measurements, to_measurements), (from_run, to_run)):
        write_bytes(to_path, from_path.read_bytes())
