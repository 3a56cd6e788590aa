"""Whether one run is stored, wherever the results lie: in a folder, or at an address."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bench.records.read import is_finished
from bench.records.remote import fetch_run, holds_run, is_address
from bench.records.schema import part_paths


def is_stored(results_dir: str | os.PathLike, run_id: str) -> bool:
    """Whether the run needs no repeat: it ended well and both its files are sound."""
    if not is_address(results_dir):
        return is_finished(part_paths(Path(results_dir), run_id)[0])
    with tempfile.TemporaryDirectory() as folder:
        return fetch_run(str(results_dir), run_id, Path(folder)) and is_stored(folder, run_id)


def is_written(results_dir: str | os.PathLike, run_id: str) -> bool:
    """Whether the run has a row at all, however it ended."""
    if is_address(results_dir):
        return holds_run(str(results_dir), run_id)
    return part_paths(Path(results_dir), run_id)[0].exists()


def absolute(results_dir: str) -> str:
    """The same results, wherever a process is; an address stays what it is."""
    return results_dir if is_address(results_dir) else str(Path(results_dir).absolute())
