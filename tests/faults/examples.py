"""What tests of whole sweeps share: the place they run in, a sweep as a process, and what its results must agree in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from bench import records

ROOT = Path(__file__).resolve().parents[2]
QUALITY = ("psnr", "ssim", "flicker", "psnr_untrained", "r2", "r2_bound", "parameters", "macs_per_frame")
SORTED_BY = ["run_id", "metric", "arm", "against", "stage", "clip", "frame", "repeat"]


def environment(**more: str) -> dict[str, str]:
    """Of a process that finds the project from anywhere and computes with one thread."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def bench(arguments: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """`python -m bench ...`, started in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=folder, env=dict(env or environment()),
    )  # fmt: skip


def trivial_sweep(folder: Path, count: int, *more: str) -> subprocess.Popen[str]:
    """A sweep of `count` runs that only write down their seed; it says how each ended, a line each."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.sweep_targets", str(folder), str(count), *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment(),
    )  # fmt: skip


def finished(results: Path) -> dict[str, int]:
    """Finished runs and when their file was written."""
    return {
        run_id: (results / "runs" / f"{run_id}.parquet").stat().st_mtime_ns for run_id in records.stored_runs(results)
    }


def quality(results: Path) -> pd.DataFrame:
    """Every row that may not depend on when and how often the sweep was started: quality, costs and losses."""
    runs, rows, problems = records.read(results)
    assert not problems
    assert set(runs["status"]) == {"ok"}
    assert runs["run_id"].is_unique
    kept = rows[rows["metric"].isin(QUALITY) | rows["metric"].str.startswith("loss_")]
    return kept.sort_values(SORTED_BY, ignore_index=True)
