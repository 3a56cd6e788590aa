"""VBench's values as rows of the measurements table, under a run of their own that every reader of results takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd

from bench import records
from bench.analysis.vbench2 import PREFIX, TASK
from bench.device import detect, git_state, package_versions
from bench.paths import ROOT
from bench.vbench2.dimensions import CATEGORIES
from bench.vbench2.plan import Plan
from bench.vbench2.scores import Score

STUDY = "vbench2"
INVALID_NOTE = "invalid: VBench gives -1 to a video that it cannot judge in this dimension"


def rows_of(run_id: str, arm: str, score: Score, commit: str) -> list[dict[str, Any]]:
    """One row per video (Diversity: per prompt, named by its first video); an invalid one has a note and no value."""
    return [
        records.measurement(
            run_id, arm, PREFIX + score.dimension, value, unit="1", higher_is_better=True, metric_version=commit[:12],
            clip=name, note=INVALID_NOTE if value is None else None,
        )
        for name, value in score.values.items()
    ]  # fmt: skip


def frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The rows as `bench.analysis.vbench2.compare` takes them."""
    return pd.DataFrame(rows, columns=records.MEASUREMENTS.names).astype({"value": float})


def store(
    results: str | Path, plan: Plan, arms: Sequence[str], scores: Sequence[tuple[str, Score]], control: str | None,
    command: str, warnings: Sequence[str], videos: str | None = None,
) -> str:  # fmt: skip
    """Store the scores of (arm, dimension) as one run of the study "vbench2"; returns its run_id.

    videos: the run of task=generate that made them, where that is known; arms of the same name are the same decoders.

    The same plan and arms are the same run, on one kind of machine: storing again replaces it. `ValueError` when the
    stored run has values that these scores lack.
    """
    device, now = detect("cpu"), datetime.now(timezone.utc).isoformat(timespec="seconds")
    identity = {
        "plan": plan.digest(), "commit": plan.commit, "prompts": plan.prompts, "seed": plan.seed,
        "subset": None if plan.subset is None else asdict(plan.subset), "complete": plan.complete,
        "categories": CATEGORIES, "arms": sorted(arms),
    }  # fmt: skip
    digest = hashlib.sha256(_canonical(identity).encode()).hexdigest()
    run_id = f"{digest[:16]}-{device.device_id}"
    rows = [row for arm, score in scores for row in rows_of(run_id, arm, score, plan.commit)]
    _refuse_loss(results, run_id, rows)
    sha, dirty = git_state(ROOT)
    told = {**identity, "control": control, "videos": videos}
    protocol = hashlib.sha256(f"{plan.digest()} {plan.commit}".encode()).hexdigest()[:12]
    records.write_run(
        results,
        {
            "run_id": run_id, "study": STUDY, "label": ", ".join(sorted(arms)), "status": "ok", "error": None,
            "started_at": now, "finished_at": now, "wall_s": 0.0, "protocol_id": protocol,
            "spec_json": _canonical({"study": STUDY, "task": TASK, TASK: told}),
            "command": command, "device_id": device.device_id, "device_name": device.name,
            "device_json": json.dumps(device.facts), "git_sha": sha, "git_dirty": dirty,
            "packages_json": json.dumps(package_versions()), "warnings_json": json.dumps(list(warnings)),
        },
        rows,
    )  # fmt: skip
    return run_id


def _refuse_loss(results: str | Path, run_id: str, rows: list[dict[str, Any]]) -> None:
    if not Path(results).is_dir():
        return
    _, stored, _ = records.read(results)
    keys = ["arm", "metric", "clip"]
    old = set(stored[stored["run_id"] == run_id][keys].itertuples(index=False, name=None))
    lost = old - {tuple(row[key] for key in keys) for row in rows}
    if lost:
        arm, metric, _ = sorted(lost)[0]
        raise ValueError(f"{results} holds {len(lost)} values of this run that are missing here, such as {metric} of "
                         f"{arm}; give another --results folder")  # fmt: skip


def _canonical(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
