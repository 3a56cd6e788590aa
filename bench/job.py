"""What the process of one run is given. Both sides of the process border import this, and neither the other."""

from __future__ import annotations

from dataclasses import dataclass

from bench.spec import RunSpec


@dataclass(frozen=True)
class Places:
    """Where things lie that do not decide what is measured.

    cache: shared work. curves, decoders, videos: for TensorBoard, for decoders that are to be kept, for what is
    generated. pictures: results folder for the frames of the first `pictured` clips. flash_vaed_release, self_forcing:
    checkouts of others' programs.
    """

    cache: str
    curves: str | None = None
    decoders: str = "decoders"
    videos: str = "videos"
    pictures: str | None = None
    pictured: int = 0
    flash_vaed_release: str | None = None
    self_forcing: str | None = None


@dataclass(frozen=True)
class Job:
    """One run, placed: what to measure, on which device with how many CPU threads.

    processes: that share a training. snapshot_s: seconds between two states of a training that is under way. gpu: the
    one to use among those this machine shows; None leaves the choice to torch.
    """

    run_id: str
    spec: RunSpec
    places: Places
    device: str
    threads: int
    processes: int = 1
    snapshot_s: float = 300.0
    gpu: int | None = None
