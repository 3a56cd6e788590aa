"""From a teacher and a plan to a small decoder: choose channels, build anew, cut what fits, refit what changed.

Nothing is cut in place. The student is built from its own spec, and every tensor is written into it from a slice of the
teacher's. Where kept channels feed a linear layer, the lost ones are folded in through their reconstruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flash_vaed.decoder import Decoder
from flash_vaed.pruning.anatomy import Anatomy, anatomy, walk
from flash_vaed.pruning.calibrate import calibrate
from flash_vaed.pruning.choice import Kept, choose
from flash_vaed.pruning.layers import Cut
from flash_vaed.pruning.plan import CompressionPlan, student_spec
from flash_vaed.pruning.refit import Step, refit
from flash_vaed.pruning.statistics import NOTHING, Statistics


@dataclass(frozen=True)
class Compressed:
    """A student and what its channels stand for: `kept` per site of its own anatomy."""

    decoder: Decoder
    kept: dict[str, Kept]

    def behind(self) -> dict[str, list[int]]:
        """The teacher's channel behind each one that leaves "entry" or a stage of the student."""
        found = anatomy(self.decoder)
        return {part: self.kept[found.behind(part)].channels for part in ("entry", *self.decoder.spec.stages)}

    def narrowed(self) -> dict[str, Kept]:
        """The sites that lost channels."""
        return {name: kept for name, kept in self.kept.items() if len(kept.channels) < kept.of}


def compress(
    teacher: Decoder,
    plan: CompressionPlan,
    latents: Sequence[Tensor],
    statistics: Statistics | None = None,
    compensate: bool = True,
) -> Compressed:
    """Build the student that `plan` asks for, ready to be distilled.

    latents: raw calibration latents, each (N, C, t, h, w); sizes may differ. statistics: from `calibrate`, if already
    at hand. compensate: refit what lies behind a change too, although it could stay as it is. With a plan that changes
    nothing the student equals the teacher bit for bit.
    """
    spec = student_spec(teacher.spec, plan)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        student = Decoder(spec).requires_grad_(False)
    ours = anatomy(student)
    statistics = statistics if statistics is not None else calibrate(teacher, latents)
    kept = choose(teacher, anatomy(teacher), ours, plan, statistics)
    steps = surgery(student, teacher, ours, kept, statistics, plan.start)
    for step in steps:
        if plan.start != "random" or not step.changed:
            step.kind.cut(step.layer, step.original, step.cut)
    if plan.start == "regression" and spec != teacher.spec:
        refit(steps, latents, plan.seed, compensate)
    return Compressed(student.eval(), kept)


def surgery(
    student: Decoder,
    teacher: Decoder,
    ours: Anatomy,
    kept: Mapping[str, Kept],
    statistics: Statistics,
    start: str,
) -> list[Step]:
    """What is to be done to every layer, in execution order."""
    steps, before = [], ""
    for layer, (path, module, kind), theirs in zip(ours.layers, walk(student), walk(teacher), strict=True):
        reads, inner, writes = (
            kept[site].channels if site else [] for site in (layer.reads, layer.inner, layer.writes)
        )
        moments = statistics[before] if before else NOTHING
        cut = Cut(path, reads, inner, writes, moments, statistics, start in ("fold", "regression"))
        steps.append(Step(kind, module, theirs.module, cut))
        before = path
    return steps
