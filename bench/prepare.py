"""From a teacher to a student: calibrate, compress, distil. Each result is cached under the hash of what led to it.

A grid therefore calibrates once for all its points and never trains the same student twice, in whatever order its
points run and however often it is interrupted.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.cache import Artefact, Cache
from bench.data import CropSampler, open_clips
from bench.job import Job
from bench.spec import PhaseChoice, RunSpec
from bench.training import Training, train
from flash_vaed import Decoder, DecoderSpec, Teacher
from flash_vaed.distill import History, Progress
from flash_vaed.pruning import Compressed, CompressionPlan, Kept, StageEdit, Statistics, calibrate, compress
from flash_vaed.pruning.plan import student_spec
from flash_vaed.spec import FrozenMapping

CALIBRATION_SEED = 0  # the same crops for every seed of a study: they belong to the teacher, not to the student

Say = Callable[[str], None]
Show = Callable[[Progress], None]


@dataclass(frozen=True)
class Students:
    """The student before and after training (one object where nothing is trained), and how it came about.

    narrowed: what stays of every site that lost channels. skipped_clips: why calibration left a clip out, by name.
    warnings: what befell the training, one line each.
    """

    untrained: Decoder
    trained: Decoder
    narrowed: dict[str, Kept] = field(default_factory=dict)
    history: History = field(default_factory=History)
    skipped_clips: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def plan_of(spec: RunSpec) -> CompressionPlan:
    """The library's compression plan for `spec`."""
    edits = {change.stage: StageEdit(change.operator, change.prune, change.channels) for change in spec.plan}
    prune = spec.prune
    return CompressionPlan(
        FrozenMapping(edits), prune.ratio, prune.criterion, prune.scaling, prune.weighting, prune.subsets, prune.start,
        spec.seed,
    )  # fmt: skip


def make_student(job: Job, teacher: Teacher, cache: Cache, say: Say, show: Show) -> Students:
    """The student of `job.spec`, as far as possible from the cache; all decoders on the CPU.

    Calibration and surgery are done on the CPU, in the same way on every machine; training on the job's device.
    """
    spec = job.spec
    plan, decoder = plan_of(spec), teacher.decoder
    if student_spec(decoder.spec, plan) == decoder.spec and not spec.distill.phases:
        return Students(decoder, decoder)  # the control: the teacher itself
    skipped: dict[str, str] = {}
    compressed = _compressed(spec, plan, teacher, cache, say, skipped)
    if not spec.distill.phases:
        return Students(compressed.decoder, compressed.decoder, compressed.narrowed(), skipped_clips=skipped)
    stored = _distilled(job, plan, teacher, compressed, cache, say, show)
    trained = copy.deepcopy(compressed.decoder)
    trained.load_state_dict(stored.tensors, strict=True)
    history = History.of(stored.document["losses"], stored.document["watched"])
    warnings = stored.document["warnings"]
    return Students(compressed.decoder, trained, compressed.narrowed(), history, skipped, warnings)


def _compressed(
    spec: RunSpec,
    plan: CompressionPlan,
    teacher: Teacher,
    cache: Cache,
    say: Say,
    skipped: dict[str, str],
) -> Compressed:
    """The rebuilt and refitted decoder, before any training."""

    def build() -> Artefact:
        latents = calibration_latents(spec, teacher, skipped)
        say("calibrating")
        statistics = statistics_of(spec, teacher, lambda: latents, cache)
        say("compressing")
        made = compress(teacher.decoder, plan, latents, statistics)
        kept = {name: dataclasses.asdict(kept) for name, kept in made.kept.items()}
        document = {"spec": made.decoder.spec.to_json(), "kept": kept, "skipped": skipped}
        return Artefact(dict(made.decoder.state_dict()), document)

    stored = cache.fetch("compressed", _compression_key(spec, plan), build)
    document = stored.document
    skipped |= document["skipped"]
    return Compressed(_decoder(stored), {name: Kept(**kept) for name, kept in document["kept"].items()})


def statistics_of(spec: RunSpec, teacher: Teacher, latents: Callable[[], list[Tensor]], cache: Cache) -> Statistics:
    """Channel statistics of the teacher: the same for every plan, ratio and criterion."""

    def build() -> Artefact:
        return Artefact(calibrate(teacher.decoder, latents(), seed=CALIBRATION_SEED).to_tensors())

    return Statistics.from_tensors(cache.fetch("statistics", calibration_key(spec), build).tensors)


def calibration_latents(spec: RunSpec, teacher: Teacher, skipped: dict[str, str], more: int = 0) -> list[Tensor]:
    """Raw latents of random crops of training clips, one crop each; `more` of them than the spec asks for."""
    data, prune = spec.data, spec.prune
    clips = open_clips(data.source, data.root, data.train)
    sampler = CropSampler(clips, prune.calibration_frames, prune.calibration_size, batch=1, seed=CALIBRATION_SEED)
    latents = [teacher.encode(next(sampler)) for _ in range(prune.calibration_clips + more)]
    skipped |= {clip.name: clip.reason for clip in sampler.skipped}
    return latents


def _distilled(
    job: Job, plan: CompressionPlan, teacher: Teacher, compressed: Compressed, cache: Cache, say: Say, show: Show
) -> Artefact:
    """The student behind all phases, each of them cached: grids that begin alike train what they share once."""
    spec = job.spec
    settings = {k: v for k, v in spec.to_json()["distill"].items() if k not in ("phases", "plans", "steps", "latents")}
    data = {"device": job.device, "seed": spec.seed, "settings": settings, **_compression_key(spec, plan)}

    def behind(count: int) -> Artefact:
        """The student behind the first `count` phases."""
        if count == 0:
            return Artefact(dict(compressed.decoder.state_dict()), {"losses": [], "watched": [], "warnings": []})
        phases = spec.distill.phases[:count]
        key = {**data, "phases": [dataclasses.astuple(phase) for phase in phases]}
        name = cache.path("distilled", key).stem
        return cache.fetch("distilled", key, lambda: trained(behind(count - 1), phases[-1], name))

    def trained(before: Artefact, phase: PhaseChoice, name: str) -> Artefact:
        student = copy.deepcopy(compressed.decoder)
        student.load_state_dict(before.tensors, strict=True)
        notes = list(before.document["warnings"])
        training = Training(
            spec, phase, Compressed(student, compressed.kept),
            History.of(before.document["losses"], before.document["watched"]),
            job.device, job.threads, job.processes, job.places.cache,
            Path(job.places.cache) / "snapshots" / f"{name}.pt", job.snapshot_s,
            Path(job.places.curves) / job.run_id if job.places.curves else None,
        )  # fmt: skip
        say(f"training: {phase.name}")
        history = train(training, teacher, lambda note: notes.append(note) if note not in notes else None, show)
        document = {"losses": history.losses, "watched": history.watched, "warnings": notes}
        return Artefact(dict(student.state_dict()), document)

    return behind(len(spec.distill.phases))


def calibration_key(spec: RunSpec) -> dict[str, Any]:
    prune = spec.prune
    crops = [prune.calibration_clips, prune.calibration_frames, prune.calibration_size, CALIBRATION_SEED]
    return {"teacher": spec.teacher.fingerprint, "clips": spec.data.train_fingerprint, "crops": crops}


def _compression_key(spec: RunSpec, plan: CompressionPlan) -> dict[str, Any]:
    return {**calibration_key(spec), "plan": plan.to_json()}


def _decoder(stored: Artefact) -> Decoder:
    """The decoder an artefact holds, its weights loaded strictly."""
    decoder = Decoder(DecoderSpec.from_json(stored.document["spec"]))
    decoder.load_state_dict(stored.tensors, strict=True)
    return decoder.eval().requires_grad_(False)
