"""Every dimension of every arm, one process each: what has a result is skipped, what fails is told, the rest goes on.

A result lies in `OUT/<arm>/results/<Dimension>/` beside a record of what it was made from. It counts for the same
videos only: when a video, the plan's prompts or VBench's commit change, the old folder is put aside and the dimension
runs again.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench.vbench2 import evaluator, layout, videos
from bench.vbench2.checkout import Checkout
from bench.vbench2.dimensions import DIMENSIONS
from bench.vbench2.plan import Plan
from bench.vbench2.scores import Score, read_score
from flash_vaed.whole_file import whole_file

RECORD = "record.txt"  # JSON, but not named so: results are looked for by that ending


@dataclass(frozen=True)
class Sweep:
    """What to evaluate. videos: folder of the arms' folders. python: VBench's interpreter."""

    checkout: Checkout
    plan: Plan
    videos: Path
    out: Path
    python: str
    arms: tuple[str, ...]
    dimensions: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True)
class Done:
    """How one dimension of one arm ended. reason: why there is no score, in one line."""

    arm: str
    dimension: str
    score: Score | None
    stored: bool = False
    reason: str | None = None
    wall_s: float = 0.0


def perform(sweep: Sweep, say: Callable[[str], object]) -> Iterator[Done]:
    """Evaluate what has no result yet. `ValueError` before the first process when a video is missing in any arm."""
    outer, inner = sweep.out.resolve(), sweep.videos.resolve()
    if outer.is_relative_to(inner) or inner.is_relative_to(outer):
        raise ValueError(f"--out {sweep.out} and --videos {sweep.videos} must not lie in each other")
    for dimension in sweep.dimensions:
        _records(sweep, dimension)  # a plan of other prompts is said here
    say(f"checking {len(sweep.arms)} arms: {', '.join(sweep.arms)}")
    videos.check_complete(sweep.plan, sweep.videos, sweep.arms, sweep.dimensions)
    for arm in sweep.arms:
        names = [entry.name for entry in sweep.plan.entries if (sweep.videos / arm / entry.name).is_file()]
        folder = layout.arm_folder(sweep.out, arm, videos.fingerprint(sweep.videos / arm, names))
        layout.forget_other(folder, arm)
        for dimension in sweep.dimensions:
            yield _evaluate(sweep, arm, dimension, folder, say)


def results_folder(out: Path, arm: str, dimension: str) -> Path:
    """Where the result of one dimension of one arm lies."""
    return out / arm / "results" / dimension


def stored_score(out: Path, plan: Plan, arm: str, dimension: str) -> Score | None:
    """The stored result; `ValueError` where it is damaged or not the plan's, None where there is none."""
    expected, row = plan.judged(dimension), DIMENSIONS[dimension]
    return read_score(results_folder(out, arm, dimension), dimension, expected, row.invalid)


def folder_of_videos(out: Path, arms: tuple[str, ...]) -> str | None:
    """The name of the folder that all stored results are of, which `vbench2 generate` names by its run; None where
    they differ or do not say.
    """
    names = set()
    for path in (path for arm in arms for path in (out / arm / "results").glob(f"*/{RECORD}")):
        try:
            names.add(json.loads(path.read_text(encoding="utf-8")).get("folder"))
        except (OSError, ValueError, AttributeError):
            names.add(None)
    return names.pop() if len(names) == 1 else None


def _evaluate(sweep: Sweep, arm: str, dimension: str, folder: Path, say: Callable[[str], object]) -> Done:
    results, names = results_folder(sweep.out, arm, dimension), [entry.name for entry in sweep.plan.of(dimension)]
    made_from = _made_from(sweep, arm, dimension, names)
    if score := _still_good(sweep, arm, dimension, made_from):
        return Done(arm, dimension, score, stored=True)
    _put_aside(results)
    results.mkdir(parents=True)
    say(f"{arm}, {dimension}: {len(names)} videos")
    layout.forget_clips(sweep.checkout.root, folder)
    layout.lay_out(sweep.videos / arm, folder / dimension, names)
    log = sweep.out.resolve() / arm / "logs" / f"{dimension}.log"
    started = datetime.now(timezone.utc)
    command = _command(sweep, arm, dimension, folder, results)
    ended = evaluator.run_logged(command, sweep.checkout.root, log, sweep.timeout_s)
    if dimension == "Instance_Preservation":
        layout.forget_clips(sweep.checkout.root, folder)
    if ended.reason:
        return Done(arm, dimension, None, reason=f"{ended.reason} ({log})", wall_s=ended.wall_s)
    try:
        score = stored_score(sweep.out, sweep.plan, arm, dimension)
    except ValueError as error:
        return Done(arm, dimension, None, reason=f"{error} (log: {log})", wall_s=ended.wall_s)
    if score is None:
        return Done(arm, dimension, None, reason=f"left without a result (log: {log})", wall_s=ended.wall_s)
    record = {
        "made_from": made_from, "commit": sweep.checkout.commit, "plan": sweep.plan.digest(), "videos": len(names),
        "started_at": started.isoformat(timespec="seconds"), "wall_s": round(ended.wall_s, 1), "command": command,
        "gpu": _gpu(), "folder": sweep.videos.resolve().name,
    }  # fmt: skip
    with whole_file(results / RECORD) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return Done(arm, dimension, score, wall_s=ended.wall_s)


def _still_good(sweep: Sweep, arm: str, dimension: str, made_from: str) -> Score | None:
    """The stored score when it was made from these very videos; None when it has to be made again."""
    try:
        record = json.loads((results_folder(sweep.out, arm, dimension) / RECORD).read_text(encoding="utf-8"))
        if record["made_from"] != made_from:
            return None
        return stored_score(sweep.out, sweep.plan, arm, dimension)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _made_from(sweep: Sweep, arm: str, dimension: str, names: list[str]) -> str:
    """Hash of what a result depends on: VBench's commit, the dimension's records and the videos' contents."""
    told = [sweep.checkout.commit, dimension, _records(sweep, dimension), videos.fingerprint(sweep.videos / arm, names)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _command(sweep: Sweep, arm: str, dimension: str, folder: Path, results: Path) -> list[str]:
    """VBench's own program; a dimension whose prompts are not all in the plan gets a list of those that are."""
    command = [
        sweep.python, "evaluate.py", "--dimension", dimension, "--videos_path", str((folder / dimension).resolve()),
        "--output_path", str(results.resolve()), "--mode", "vbench_standard",
    ]  # fmt: skip
    records = _records(sweep, dimension)
    if len(records) == sum(record.dimension == dimension for record in sweep.checkout.records):
        return command
    path = sweep.out.resolve() / arm / "prompts" / f"{dimension}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_text(json.dumps(records, indent=1), encoding="utf-8")
    return [*command, "--full_json_dir", str(path)]


def _records(sweep: Sweep, dimension: str) -> list[dict[str, Any]]:
    """The checkout's records of the plan's prompts of one dimension; a plan of other prompts is a `ValueError`."""
    prompts = {entry.prompt for entry in sweep.plan.of(dimension)}
    found = [dict(record.raw) for record in sweep.checkout.records
             if record.dimension == dimension and record.prompt in prompts]  # fmt: skip
    if len(found) != len(prompts):
        raise ValueError(f"the checkout lacks prompts of the plan in {dimension}: it was made from another commit")
    return found


def _put_aside(results: Path) -> None:
    """Move what lies at `results` to a folder that keeps earlier attempts; nothing is deleted."""
    if not results.exists():
        return
    kept = results.parent.parent / "earlier"
    kept.mkdir(parents=True, exist_ok=True)
    number = 1
    while (kept / f"{results.name}-{number}").exists():
        number += 1
    results.rename(kept / f"{results.name}-{number}")


def _gpu() -> str | None:
    """Name of the first GPU, None without nvidia-smi."""
    try:
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "--id=0"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
