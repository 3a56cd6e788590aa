"""What a point of a sweep costs beside its work:  python -m tests.overhead [POINTS] [LAUNCHER ...]

Everything a real point goes through (composing, checking, pinning, a process of its own from the warm server, rows
written and synced) but the run: it stores one number. The last line is JSON, milliseconds per point.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Milliseconds per point: until all are ready to run, and from there to the last row; runs: rows stored."""

    prepare_ms: float
    run_ms: float
    runs: int

    @property
    def total_ms(self) -> float:
        return self.prepare_ms + self.run_ms


def overhead(points: int, launcher: str = "sequential", options: Sequence[str] = ()) -> Cost:
    """The cost of each point of a grid of so many, after a first point has warmed everything."""
    from bench import isolate, records
    from bench.launch import prepare
    from bench.study import study_points
    from tests.bench.sweep_targets import measure

    isolate.PRELOAD = (*isolate.PRELOAD, "tests.bench.sweep_targets")  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        fixed = [f"launcher={launcher}", *options, f"paths.results={folder}/results", f"paths.logs={folder}/logs"]
        grid = [*fixed, "device=cpu", "device.threads=1", f"seed=range(0,{points + 1})"]

        def sweep(some: Sequence) -> tuple[float, float]:
            start_s = time.perf_counter()
            prepared, chosen = prepare("multirun", some, grid)
            ready_s = time.perf_counter()
            done = list(chosen.launch([p.request for p in prepared], lambda *said: None, measure))
            assert all(d.status == "ok" for d in done)
            return ready_s - start_s, time.perf_counter() - ready_s

        start_s = time.perf_counter()
        _, [first, *others] = study_points(grid)
        listing_s = time.perf_counter() - start_s
        sweep([first])
        prepare_s, run_s = sweep(others)
        stored = len(records.stored_runs(f"{folder}/results")) - 1
    return Cost(1e3 * (listing_s + prepare_s) / points, 1e3 * run_s / points, stored)


def main(argv: list[str]) -> None:
    points = int(argv[0]) if argv else 1000
    found = {}
    for launcher in argv[1:] or ["sequential", "joblib"]:
        with contextlib.redirect_stderr(io.StringIO()):
            cost = overhead(points, launcher)
        found[launcher] = {"prepare_ms": round(cost.prepare_ms, 1), "run_ms": round(cost.run_ms, 1)}
        print(f"{launcher}: {cost.runs} points, {cost.total_ms:.0f} ms each", file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
