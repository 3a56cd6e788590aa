"""What the names in a spec stand for now: fingerprints of the teacher and of the clips, taken once per command.

A retrained teacher or another folder of clips therefore gives other runs, even under the same name.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

from bench.data import LatentDump, open_clips
from bench.prepare import plan_of
from bench.prompts import fingerprint_of, wanted_videos
from bench.spec import Arm, Data, Distill, Prompts, RunSpec, TeacherRef
from bench.tasks.generate import MADE
from bench.words import did_you_mean
from flash_vaed import DecoderSpec, load_decoder, load_teacher
from flash_vaed.families.zoo import SPECS
from flash_vaed.lpips import backbone_file, lpips_unavailable
from flash_vaed.pruning.plan import student_spec
from flash_vaed.teacher import weights_fingerprint


def pin(spec: RunSpec) -> RunSpec:
    """`spec` with the fingerprints of what its names stand for now; an absent teacher or clip set is a `ValueError`.

    The plan is tried on the teacher's spec as well, so that a misfit is found before any run.
    """
    fingerprint, decoder = _teacher_facts(spec.teacher.path)
    student_spec(decoder, plan_of(spec))
    shape = _shape_of(spec)
    return replace(
        spec,
        teacher=TeacherRef(spec.teacher.path, fingerprint),
        arms=tuple(_pinned_arm(arm, shape, MADE if spec.host else ()) for arm in spec.arms),
        prompts=_pinned_prompts(spec),
        distill=_pinned(spec.distill, decoder.latents.channels) if spec.distill.phases else spec.distill,
        data=_pinned_data(spec.data) if _sees_clips(spec) else spec.data,
    )


def _sees_clips(spec: RunSpec) -> bool:
    """Whether a run reads video: one that times decoders that are there already does not, and runs where none is."""
    return not spec.arms or any(arm.decoder in MADE for arm in spec.arms)


def _pinned_data(data: Data) -> Data:
    return replace(
        data,
        train_fingerprint=_clips_fingerprint(data.source, data.root, data.train, None),
        evaluate_fingerprint=_clips_fingerprint(data.source, data.root, data.evaluate, data.max_clips),
    )


def _shape_of(spec: RunSpec) -> tuple[int, int, int]:
    """Frames, height and width of what the arms decode."""
    of = spec.host or spec.timing
    return of.frames, of.height, of.width


def _pinned_arm(arm: Arm, shape: tuple[int, int, int], made: tuple[str, ...]) -> Arm:
    """The arm with the fingerprint of its checkpoint, if it has one; there must be such a decoder for clips of `shape`.

    made: names for decoders that the run makes itself.
    """
    if arm.decoder in made:
        return arm
    if arm.decoder in SPECS:
        known, fingerprint = SPECS[arm.decoder], ""
    elif arm.decoder == "bundled" or Path(arm.decoder).exists():
        known, fingerprint = _decoder_facts(arm.decoder)
    else:
        hint = did_you_mean(arm.decoder, [*made, *SPECS])
        raise ValueError(f"arm {arm.label}: {arm.decoder!r} is no file and no built-in spec; {hint}")
    try:
        known.latent_shape(*shape)
    except ValueError as error:
        raise ValueError(f"arm {arm.label}: {error}") from error
    return replace(arm, fingerprint=fingerprint)


@functools.lru_cache(maxsize=8)
def _decoder_facts(path: str) -> tuple[DecoderSpec, str]:
    """Spec and fingerprint of an arm's checkpoint. The bundled decoder is known by its name."""
    if path == "bundled":
        return _teacher_facts(path)[1], ""
    decoder = load_decoder(path)
    return decoder.spec, weights_fingerprint(decoder)


def _pinned_prompts(spec: RunSpec) -> Prompts | None:
    """The prompts with what their file holds; a prompt that gives no file name is said here."""
    if spec.prompts is None:
        return None
    wanted_videos(spec.prompts, spec.seed)
    return replace(spec.prompts, fingerprint=fingerprint_of(spec.prompts))


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
