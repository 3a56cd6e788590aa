"""What the process of one run is given. Both sides of the process border import this, and neither the other."""

from __future__ import annotations

from dataclasses import dataclass

from bench.spec import RunSpec


@dataclass(frozen=True)
class Job:
    """One run, placed: what to measure, on which device with how many CPU threads, and where shared work is kept."""

    run_id: str
    spec: RunSpec
    cache_folder: str
    device: str
    threads: int
