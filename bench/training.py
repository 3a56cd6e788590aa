"""One phase of a distillation in this process, and in companions of it where several share the work.

This process is the first of the group: it alone shows progress, writes snapshots and curves, and returns the student.
The others are started for one phase, see the same seeds, take their part of each batch, and end.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from bench.cache import Cache
from bench.curves import Curves
from bench.lessons import Lessons
from bench.placement import on_device
from bench.spec import PhaseChoice, RunSpec
from flash_vaed import Teacher, load_teacher
from flash_vaed.distill import PHASES, History, PhasePlan, Progress, Settings, Snapshots, train_phase
from flash_vaed.pruning import Compressed


@dataclass(frozen=True)
class Training:
    """One phase to be trained: picklable, the same for all processes. compressed: the student, which is trained in
    place; before: the curve so far. snapshot: the file for states of this phase.
    """

    spec: RunSpec
    phase: PhaseChoice
    compressed: Compressed
    before: History
    device: str
    threads: int
    processes: int
    cache_folder: str
    snapshot: Path
    snapshot_s: float
    curves: Path | None


def train(job: Training, teacher: Teacher, warn: Callable[[str], None], show: Callable[[Progress], None]) -> History:
    """Train `job.compressed.decoder` in place; the history with this phase's part. Clips that were left out are told
    through `warn`, one line each.
    """
    snapshots = Snapshots(job.snapshot, job.snapshot_s, warn)
    with _companions(job), Curves(job.curves, warn) as curves:

        def tell(progress: Progress) -> None:
            show(progress)
            curves.add(progress)

        history, left_out = _train_here(job, teacher, warn, snapshots, tell)
    for name, reason in left_out.items():
        warn(f"training left out clip {name}: {reason}")
    job.snapshot.unlink(missing_ok=True)
    return history


def settings_of(spec: RunSpec) -> Settings:
    """The library's settings for `spec`."""
    distill = spec.distill
    return Settings(
        lr=distill.lr, follow_start=distill.follow_start, batch=distill.batch, accumulate=distill.accumulate,
        max_grad_norm=distill.max_grad_norm, ema=distill.ema, precision=distill.precision,
        checkpointing=distill.checkpointing, perceptual=distill.perceptual == "lpips", seed=spec.seed,
    )  # fmt: skip


def _train_here(
    job: Training,
    teacher: Teacher,
    warn: Callable[[str], None],
    snapshots: Snapshots | None,
    show: Callable[[Progress], None] | None,
) -> tuple[History, dict[str, str]]:
    """This process's part, and the clips that were put aside with their reasons."""
    device = _device(job.device, dist.get_rank() if dist.is_initialized() else 0)
    placed = on_device(teacher, device)
    job.compressed.decoder.to(device)
    lessons = Lessons(job.spec, job.phase, placed, device, Cache(job.cache_folder, warn))
    options = PHASES.get(job.phase.name).Options(**dict(job.phase.options))
    plan = PhasePlan(job.phase.name, job.phase.steps, options)
    history = train_phase(
        placed.decoder, job.compressed, plan, settings_of(job.spec), lessons, job.before, snapshots, show
    )
    job.compressed.decoder.cpu()
    return history, {clip.name: clip.reason for clip in lessons.skipped}


@contextlib.contextmanager
def _companions(job: Training) -> Iterator[None]:
    """The process group of a shared training; nothing where one process does it alone."""
    if job.processes == 1:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting_point = f"file://{folder}/processes"
        others = multiprocessing.start_processes(
            _companion, (job, meeting_point), job.processes - 1, join=False, start_method="spawn"
        )
        threads = torch.get_num_threads()
        try:
            _join_group(0, job, meeting_point)
            yield
            dist.destroy_process_group()
            while not others.join():
                pass
        finally:
            torch.set_num_threads(threads)
            if dist.is_initialized():
                dist.destroy_process_group()
            for process in others.processes:
                process.kill()


def _companion(index: int, job: Training, meeting_point: str) -> None:
    _join_group(index + 1, job, meeting_point)
    _train_here(job, load_teacher(job.spec.teacher.path), print, Snapshots(job.snapshot, float("inf")), None)
    dist.destroy_process_group()


def _join_group(rank: int, job: Training, meeting_point: str) -> None:
    torch.set_num_threads(max(1, job.threads // job.processes))
    device = _device(job.device, rank)
    if device.type == "cuda":
        if job.processes > torch.cuda.device_count():
            found = torch.cuda.device_count()
            raise ValueError(f"device.processes={job.processes} needs as many GPUs; {found} found")
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, meeting_point, rank=rank, world_size=job.processes)


def _device(kind: str, rank: int) -> torch.device:
    return torch.device("cuda", rank) if kind == "cuda" else torch.device(kind)
