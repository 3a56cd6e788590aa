"""What the names in a spec stand for now: fingerprints of the teacher and of the clips, taken once per command.

A retrained teacher or another folder of clips therefore gives other runs, even under the same name.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

from bench.data import LatentDump, open_clips
from bench.prepare import plan_of
from bench.spec import Arm, Distill, RunSpec, TeacherRef, Timing
from bench.words import did_you_mean
from flash_vaed import DecoderSpec, load_decoder, load_teacher
from flash_vaed.families.zoo import SPECS
from flash_vaed.lpips import backbone_file, lpips_unavailable
from flash_vaed.pruning.plan import student_spec


def pin(spec: RunSpec) -> RunSpec:
    """`spec` with the fingerprints of what its names stand for now; an absent teacher or clip set is a `ValueError`.

    The plan is tried on the teacher's spec as well, so that a misfit is found before any run.
    """
    fingerprint, decoder = _teacher_facts(spec.teacher.path)
    student_spec(decoder, plan_of(spec))
    for arm in spec.arms:
        _check_arm(arm, spec.timing)
    data = spec.data
    return replace(
        spec,
        teacher=TeacherRef(spec.teacher.path, fingerprint),
        distill=_pinned(spec.distill, decoder.latents.channels) if spec.distill.phases else spec.distill,
        data=replace(
            data,
            train_fingerprint=_clips_fingerprint(data.source, data.root, data.train, None),
            evaluate_fingerprint=_clips_fingerprint(data.source, data.root, data.evaluate, data.max_clips),
        ),
    )


def _check_arm(arm: Arm, timing: Timing) -> None:
    """Whether there is such a decoder and it can give clips of the timed shape."""
    if arm.decoder in SPECS:
        known = SPECS[arm.decoder]
    elif arm.decoder == "bundled" or Path(arm.decoder).exists():
        known = _spec_of(arm.decoder)
    else:
        hint = did_you_mean(arm.decoder, list(SPECS))
        raise ValueError(f"arm {arm.label}: {arm.decoder!r} is no file and no built-in spec; {hint}")
    try:
        known.latent_shape(timing.frames, timing.height, timing.width)
    except ValueError as error:
        raise ValueError(f"arm {arm.label}: {error}") from error


@functools.lru_cache(maxsize=8)
def _spec_of(path: str) -> DecoderSpec:
    """The spec of an arm's checkpoint, or of the bundled decoder."""
    return _teacher_facts(path)[1] if path == "bundled" else load_decoder(path).spec


def _pinned(distill: Distill, channels: int) -> Distill:
    """Whether LPIPS is part of the loss is decided by its weights being there; latents are known by their files."""
    reason = lpips_unavailable(backbone_file())
    if distill.perceptual == "lpips" and reason is not None:
        raise ValueError(f"distill.perceptual=lpips: {reason}")
    if distill.perceptual == "auto":
        distill = replace(distill, perceptual="lpips" if reason is None else "off")
    if distill.latents is None:
        return distill
    return replace(distill, latents_fingerprint=_dump_fingerprint(distill.latents, channels))


@functools.lru_cache(maxsize=8)
def _dump_fingerprint(path: str, channels: int) -> str:
    return LatentDump(path, channels).fingerprint


@functools.lru_cache(maxsize=8)
def _teacher_facts(path: str) -> tuple[str, DecoderSpec]:
    """Fingerprint and spec of a teacher's decoder."""
    teacher = load_teacher(path)
    return teacher.fingerprint, teacher.decoder.spec


@functools.lru_cache(maxsize=64)
def _clips_fingerprint(source: str, root: str | None, split: str, max_clips: int | None) -> str:
    return open_clips(source, root, split, max_clips).fingerprint
