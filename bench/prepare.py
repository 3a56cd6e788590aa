"""From a teacher to a student: calibrate, compress, distil. Each result is cached under the hash of what led to it.

A grid therefore calibrates once for all its points and never trains the same student twice, in whatever order its
points run and however often it is interrupted.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.cache import Artefact, Cache
from bench.data import CropSampler, open_clips
from bench.placement import on_device
from bench.spec import RunSpec
from flash_vaed import Decoder, DecoderSpec, Teacher
from flash_vaed.distill import DistilRecipe, distil
from flash_vaed.pruning import Compressed, CompressionPlan, Kept, StageEdit, Statistics, calibrate, compress
from flash_vaed.pruning.plan import student_spec
from flash_vaed.spec import FrozenMapping

CALIBRATION_SEED = 0  # the same crops for every seed of a study: they belong to the teacher, not to the student

Progress = Callable[[str, int, int], None]  # step, done, total
Loss = tuple[str, int, str, float]  # phase, optimiser step, name of the value, value


@dataclass(frozen=True)
class Students:
    """The student before and after training (one object where nothing is trained), and how it came about.

    narrowed: what stays of every site that lost channels. skipped_clips: name: why it was left out.
    """

    untrained: Decoder
    trained: Decoder
    narrowed: dict[str, Kept] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    skipped_clips: dict[str, str] = field(default_factory=dict)


def plan_of(spec: RunSpec) -> CompressionPlan:
    """The library's compression plan for `spec`."""
    edits = {change.stage: StageEdit(change.operator, change.prune, change.channels) for change in spec.plan}
    prune = spec.prune
    return CompressionPlan(
        FrozenMapping(edits), prune.ratio, prune.criterion, prune.scaling, prune.weighting, prune.subsets, prune.start,
        spec.seed,
    )  # fmt: skip


def make_student(
    spec: RunSpec,
    teacher: Teacher,
    device: torch.device,
    cache: Cache,
    say: Callable[[str], None],
    progress: Progress,
) -> Students:
    """The student of `spec`, as far as possible from the cache; all decoders on the CPU.

    Calibration and surgery are done on the CPU, in the same way on every machine; training on `device`.
    """
    plan, decoder = plan_of(spec), teacher.decoder
    if student_spec(decoder.spec, plan) == decoder.spec and not spec.distill.phases:
        return Students(decoder, decoder)  # the control: the teacher itself
    skipped: dict[str, str] = {}
    compressed = _compressed(spec, plan, teacher, cache, say, skipped)
    if not spec.distill.phases:
        return Students(compressed.decoder, compressed.decoder, compressed.narrowed(), [], skipped)
    untrained = copy.deepcopy(compressed.decoder)
    trained, losses = _distilled(spec, plan, teacher, compressed, device, cache, progress, skipped)
    return Students(untrained, trained, compressed.narrowed(), losses, skipped)


def _compressed(
    spec: RunSpec,
    plan: CompressionPlan,
    teacher: Teacher,
    cache: Cache,
    say: Callable[[str], None],
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
    spec: RunSpec,
    plan: CompressionPlan,
    teacher: Teacher,
    compressed: Compressed,
    device: torch.device,
    cache: Cache,
    progress: Progress,
    skipped: dict[str, str],
) -> tuple[Decoder, list[Loss]]:  # fmt: skip
    """The student after all its phases, and its losses."""
    settings, data = spec.distill, spec.data
    recipe = DistilRecipe(
        phases=settings.phases, steps=settings.steps, lr=settings.lr, dynamic=settings.dynamic, seed=spec.seed
    )

    def build() -> Artefact:
        clips = open_clips(data.source, data.root, data.train)
        batches = CropSampler(clips, settings.frames, settings.size, settings.batch, seed=spec.seed)
        compressed.decoder.to(device)
        history = distil(on_device(teacher, device), compressed, (x.to(device) for x in batches), recipe, progress)
        left_out = {clip.name: clip.reason for clip in batches.skipped}
        document = {"spec": compressed.decoder.spec.to_json(), "losses": history.rows, "skipped": left_out}
        return Artefact(dict(compressed.decoder.state_dict()), document)

    key = {
        **_compression_key(spec, plan),
        "recipe": dataclasses.asdict(recipe),
        "crops": [settings.batch, settings.frames, settings.size],
        "device": device.type,
    }
    stored = cache.fetch("distilled", key, build)
    skipped |= stored.document["skipped"]
    return _decoder(stored), [(phase, step, name, value) for phase, step, name, value in stored.document["losses"]]


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
