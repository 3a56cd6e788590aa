"""What the names in a spec stand for now: fingerprints of the teacher and of the clips, taken once per command.

A retrained teacher or another folder of clips therefore gives other runs, even under the same name.
"""

from __future__ import annotations

import functools
from dataclasses import replace

from bench.data import open_clips
from bench.prepare import plan_of
from bench.spec import RunSpec, TeacherRef
from flash_vaed import DecoderSpec, load_teacher
from flash_vaed.pruning.plan import student_spec


def pin(spec: RunSpec) -> RunSpec:
    """`spec` with the fingerprints of what its names stand for now; an absent teacher or clip set is a `ValueError`.

    The plan is tried on the teacher's spec as well, so that a misfit is found before any run.
    """
    fingerprint, decoder = _teacher_facts(spec.teacher.path)
    student_spec(decoder, plan_of(spec))
    data = spec.data
    return replace(
        spec,
        teacher=TeacherRef(spec.teacher.path, fingerprint),
        data=replace(
            data,
            train_fingerprint=_clips_fingerprint(data.source, data.root, data.train, None),
            evaluate_fingerprint=_clips_fingerprint(data.source, data.root, data.evaluate, data.max_clips),
        ),
    )


@functools.lru_cache(maxsize=8)
def _teacher_facts(path: str) -> tuple[str, DecoderSpec]:
    """Fingerprint and spec of a teacher's decoder."""
    teacher = load_teacher(path)
    return teacher.fingerprint, teacher.decoder.spec


@functools.lru_cache(maxsize=64)
def _clips_fingerprint(source: str, root: str | None, split: str, max_clips: int | None) -> str:
    return open_clips(source, root, split, max_clips).fingerprint
