"""What the process of one run is given. Both sides of the process border import this, and neither the other."""

from __future__ import annotations

from dataclasses import dataclass

from bench.spec import RunSpec


@dataclass(frozen=True)
class Job:
    """One run, placed: what to measure, on which device with how many CPU threads, and where shared work is kept.

    processes: that share a training. snapshot_s: seconds between two states of a training that is under way. curves,
    decoders: folders for TensorBoard and for decoders that are to be kept. flash_vaed_release: a peer's program.
    """

    run_id: str
    spec: RunSpec
    cache_folder: str
    device: str
    threads: int
    processes: int = 1
    snapshot_s: float = 300.0
    curves: str | None = None
    decoders: str = "decoders"
    flash_vaed_release: str | None = None
