"""The main task: how well each arm gives real clips back, then what it costs.

The teacher encodes each clip; both arms decode those latents. Every metric is taken frame by frame, against the
source clip and against the teacher's plain float32 frames. A clip that cannot be read gives rows that say so; nothing
takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from bench.evaluation import EvaluationSet
from bench.metrics import Metric, NotApplicable, make_metric
from bench.placement import options_of
from bench.records import measurement
from bench.tasks.base import TASKS, Row, Workbench
from bench.tasks.profile import profile
from flash_vaed.runtime import RuntimeOptions

UNTRAINED = "psnr_untrained"


@TASKS.register("reconstruct")
def reconstruct(bench: Workbench) -> Iterator[Row]:
    """Rows of quality per clip and frame, then those of `profile`."""
    bench.say("quality")
    yield from quality_rows(bench, bench.evaluation())
    yield from profile(bench)


def quality_rows(bench: Workbench, clips: EvaluationSet) -> Iterator[Row]:
    """Every metric of the run for both arms, and the student's PSNR from before its training."""
    metrics = [make_metric(name) for name, _ in bench.spec.metrics]
    absent = {metric.name: reason for metric in metrics if (reason := metric.unavailable()) is not None}
    usable = [metric for metric in metrics if metric.name not in absent]
    for metric in metrics:
        if metric.name in absent:
            for against in ("source", "teacher"):
                yield _gap(bench, metric, against, None, absent[metric.name])
    for name, reason in clips.unreadable.items():
        for metric in usable:
            for against in ("source", "teacher"):
                yield _gap(bench, metric, against, name, f"clip {name} {reason}")
    for name in clips.names:
        yield from _clip_rows(bench, usable, clips, name)


def _clip_rows(bench: Workbench, metrics: list[Metric], clips: EvaluationSet, name: str) -> Iterator[Row]:
    """All quality rows of one clip."""
    source, plain, z = clips.source(name), clips.teacher(name), clips.latents(name)
    student = bench.decode(bench.student, z[None])[0]
    untrained = student if bench.untrained is bench.student else bench.decode(bench.untrained, z[None])[0]
    runtime = bench.spec.runtime
    is_plain = options_of(runtime) == RuntimeOptions() and runtime.chunk is None and bench.device.type == "cpu"
    teacher = plain if is_plain else bench.decode(bench.teacher_decoder, z[None])[0]
    bench.picture(name, {"source": source, "teacher": teacher, "student": student})
    for metric in metrics:
        yield from _frame_rows(bench, metric, "student", "source", name, source, student)
        yield from _frame_rows(bench, metric, "student", "teacher", name, plain, student)
        yield from _frame_rows(bench, metric, "teacher", "source", name, source, teacher)
        if not is_plain:
            yield from _frame_rows(bench, metric, "teacher", "teacher", name, plain, teacher)
    psnr = make_metric("psnr")
    yield from _frame_rows(bench, psnr, "student", "source", name, source, untrained, UNTRAINED)
    yield from _frame_rows(bench, psnr, "student", "teacher", name, plain, untrained, UNTRAINED)


def _frame_rows(
    bench: Workbench, metric: Metric, arm: str, against: str, clip: str, reference_CTHW: Tensor, frames_CTHW: Tensor,
    stored_as: str | None = None,
) -> Iterator[Row]:  # fmt: skip
    """One row per frame (or one for the clip, where the metric gives a single value)."""
    try:
        values = metric(reference_CTHW, frames_CTHW)
    except NotApplicable as error:
        yield _gap(bench, metric, against, clip, str(error), arm)
        return
    per_frame = enumerate(values.tolist()) if values.ndim else [(None, float(values))]
    for frame, value in per_frame:
        yield measurement(
            bench.run_id, arm, stored_as or metric.name, value, unit=metric.unit,
            higher_is_better=metric.higher_is_better, metric_version=metric.version, against=against, clip=clip,
            frame=frame,
        )  # fmt: skip


def _gap(bench: Workbench, metric: Metric, against: str, clip: str | None, why: str, arm: str = "student") -> Row:
    """The row of a value that could not be measured."""
    return measurement(
        bench.run_id, arm, metric.name, None, unit=metric.unit, higher_is_better=metric.higher_is_better,
        metric_version=metric.version, against=against, clip=clip, note=why,
    )  # fmt: skip
