"""One run, top to bottom, in the process made for it: a frozen `RunSpec` in, rows of measurements out.

The steps before (verb, config, spec, "is it stored?", own process) are in `bench.sweep`; storing the rows, and the
row of a run that failed, as well. Here: settle the process, teacher, student, task.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.cache import Cache
from bench.evaluation import evaluation_set
from bench.isolate import Emit
from bench.job import Job
from bench.memory import settle_heap
from bench.placement import optimized, options_of, placed
from bench.prepare import Say, Show, calibration_latents, make_student, statistics_of
from bench.programs import PROGRAMS
from bench.records import measurement, write_frames
from bench.spec import RunSpec
from bench.tasks import ARM_TASKS, TASKS, Lineup, Making, Workbench
from bench.tasks.base import Row
from flash_vaed import Decoder, load_teacher, save_decoder
from flash_vaed.distill import Progress
from flash_vaed.lpips import backbone_file, lpips_unavailable
from flash_vaed.video_files import to_uint8


def execute(job: Job, emit: Emit) -> dict[str, Any]:
    """Do one run. Returns {"rows": measurement rows, "warnings": one-line strings}; progress goes through `emit`."""
    warnings: list[str] = []

    def say(step: str) -> None:
        emit({"step": step})

    def show(progress: Progress) -> None:
        emit({"step": f"training: {progress.phase}", "done": progress.done, "total": progress.total,
              "values": progress.values})  # fmt: skip

    spec, device = job.spec, torch.device(job.device)
    cache = Cache(job.places.cache, warnings.append)

    # 1. The same start for every run: threads, seeds, exact float32 arithmetic, where freed memory goes.
    _settle(job.threads, spec.seed)
    warnings += settle_heap(spec.runtime.keep_heap, device.type)

    if spec.arms:
        return compare(job, device, cache, say, show, warnings)

    # 2. The teacher, and the student made from it (from the cache where an earlier run has made it).
    say("teacher")
    teacher = load_teacher(spec.teacher.path)
    if teacher.fingerprint != spec.teacher.fingerprint:
        raise ValueError(f"teacher {spec.teacher.path} changed while the runs were under way; start the command again")
    students = make_student(job, teacher, cache, say, show)
    left_out = students.skipped_clips
    warnings += [*students.warnings, *_fallback(spec)]

    # 3. The task: quality, speed, memory, cost, in separate passes.
    dtype = options_of(spec.runtime).torch_dtype
    bench = Workbench(
        run_id=job.run_id,
        spec=spec,
        device=device,
        teacher=teacher,
        teacher_decoder=optimized(teacher.decoder, device, spec.runtime),
        student=(student := optimized(students.trained, device, spec.runtime)),
        untrained=student if students.untrained is students.trained else placed(students.untrained, device, dtype),
        evaluation=lambda: evaluation_set(spec, teacher, device, cache, say),
        statistics=lambda: statistics_of(spec, teacher, lambda: calibration_latents(spec, teacher, left_out), cache),
        say=say,
        keep=lambda: _kept(job, students.trained),
        picture=_pictured(job),
    )
    rows = list(TASKS.get(spec.task)(bench))
    warnings += [f"calibration left out clip {name}: {reason}" for name, reason in left_out.items()]

    # 4. How the student came about: what its channels stand for, and its training curve.
    for site, kept in students.narrowed.items():
        rows += [_share_row(job.run_id, "r2", site, kept.r2), _share_row(job.run_id, "r2_bound", site, kept.bound)]
    rows += [_curve_row(job.run_id, "loss", *row) for row in students.history.losses]
    rows += [_curve_row(job.run_id, "training", *row) for row in students.history.watched]
    return {"rows": rows, "warnings": warnings}


def compare(job: Job, device: torch.device, cache: Cache, say: Say, show: Show, warnings: list[str]) -> dict[str, Any]:
    """A run whose decoders are named: one program after the other is started, the task compares them.

    What a name can also stand for, the teacher and the student of this config, is made when the task asks for it.
    """
    spec, places = job.spec, job.places
    programs = {arm.program: PROGRAMS.get(arm.program)(places.flash_vaed_release) for arm in spec.arms}
    absent = {name: reason for name, program in programs.items() if (reason := program.unavailable()) is not None}
    teacher = functools.lru_cache(lambda: load_teacher(spec.teacher.path))

    def student() -> Decoder:
        made = make_student(job, teacher(), cache, say, show)
        warnings.extend([*made.warnings, *_fallback(spec)])
        warnings.extend(f"calibration left out clip {name}: {why}" for name, why in made.skipped_clips.items())
        return made.trained

    lineup = Lineup(
        job.run_id, spec, device, {n: p for n, p in programs.items() if n not in absent}, absent, say,
        Making(lambda: teacher().decoder, student, cache, Path(places.videos), places.self_forcing),
    )  # fmt: skip
    return {"rows": list(ARM_TASKS.get(spec.task)(lineup)), "warnings": warnings}


def _settle(threads: int, seed: int) -> None:
    """Threads and seeds as the run asks, and float32 that is float32 on every device."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _kept(job: Job, student: Decoder) -> Path:
    """Write the student where it is to stay, beside what it came from; the folder."""
    folder = Path(job.places.decoders) / f"{job.spec.plan_name}-{job.run_id}"
    try:
        save_decoder(student, folder)
        (folder / "run.json").write_text(json.dumps(job.spec.to_json(), indent=1) + "\n")
    except OSError as error:
        raise ValueError(f"cannot keep the decoder in {folder}: {error.strerror}; set paths.decoders=FOLDER") from error
    return folder


def _pictured(job: Job) -> Callable[[str, Mapping[str, Tensor]], None]:
    """Stores the frames of the first clips it is shown, as many as pictures were asked for."""
    shown: set[str] = set()

    def picture(clip: str, frames_CTHW: Mapping[str, Tensor]) -> None:
        if job.places.pictures is None or len(shown) >= job.places.pictured:
            return
        shown.add(clip)
        for who, frames in frames_CTHW.items():
            pixels_THWC = to_uint8(frames.clamp(-1, 1)).permute(1, 2, 3, 0).cpu().numpy()
            write_frames(job.places.pictures, job.run_id, clip, who, pixels_THWC)

    return picture


def _share_row(run_id: str, metric: str, site: str, value: float) -> Row:
    """Share of a site's variance that its kept channels rebuild, or could at most; the site's name as `stage`."""
    return measurement(run_id, "student", metric, value, unit="1", higher_is_better=True, stage=site)


def _curve_row(run_id: str, kind: str, phase: str, step: int, name: str, value: float) -> Row:
    """One point of the training curve: metric `loss_<phase>` for a term of the loss, `training_<phase>` for what else
    was watched; its step as `repeat`, its name as `stage`.
    """
    higher = name == "psnr"
    return measurement(
        run_id, "student", f"{kind}_{phase}", value, unit="dB" if higher else "1", higher_is_better=higher, stage=name,
        repeat=step,
    )  # fmt: skip


def _fallback(spec: RunSpec) -> list[str]:
    """What a training without LPIPS went without, where its weights are absent."""
    if not spec.distill.phases or spec.distill.perceptual == "lpips":
        return []
    reason = lpips_unavailable(backbone_file())
    return [f"trained without the LPIPS term: {reason}"] if reason is not None else []
