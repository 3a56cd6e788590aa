"""Teacher and student side by side: which of their parts correspond, and how the student's are run in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from flash_vaed.decoder import Decoder
from flash_vaed.distill.precision import autocast, widened
from flash_vaed.pruning import Compressed
from flash_vaed.state import Stream


@dataclass(frozen=True)
class Pair:
    """behind: which teacher channel each channel that leaves a part of the student stands for. checkpointing: the
    activations inside a part are not kept for the way back but computed again. precision: of the student's networks.
    """

    teacher: Decoder
    student: Decoder
    behind: Mapping[str, list[int]]
    checkpointing: bool = False
    precision: str = "float32"

    @classmethod
    def of(
        cls, teacher: Decoder, compressed: Compressed, checkpointing: bool = False, precision: str = "float32"
    ) -> Pair:
        return cls(teacher, compressed.decoder, compressed.behind(), checkpointing, precision)

    def changed_stages(self) -> list[str]:
        """Stages whose operator or widths differ from the teacher's."""
        ours, theirs = self.student.spec, self.teacher.spec
        return [
            name
            for name in ours.stages
            if ours.stages[name] != theirs.stages[name] or ours.width_in(name) != theirs.width_in(name)
        ]

    def trained(self) -> nn.ModuleDict:
        """What learns: the changed stages and the head."""
        parts = self.student.parts()
        return nn.ModuleDict({name: parts[name] for name in [*self.changed_stages(), "head"]})

    def run(self, part: str, x_NCTHW: Tensor) -> Tensor:
        """One part of the student on a whole clip; at least float32, whatever it computes in."""
        module = self.student.parts()[part]
        with autocast(x_NCTHW.device, self.precision):
            if self.checkpointing and torch.is_grad_enabled():
                return widened(checkpoint(lambda x: module(x, Stream.fresh()), x_NCTHW, use_reentrant=False))
            return widened(module(x_NCTHW, Stream.fresh()))

    def student_features(self, z_NCthw: Tensor) -> dict[str, Tensor]:
        """What leaves every part of the student, as `Decoder.features` names it."""
        x, found = z_NCthw, {}
        for part in self.student.parts():
            x = self.run(part, x)
            found["frames" if part == "head" else part] = x
        return found

    def stage_input(self, features: Mapping[str, Tensor], stage: str) -> Tensor:
        """The teacher's features that enter `stage`, kept channels only."""
        names = ["entry", *self.teacher.spec.stages]
        return self.part_target(features, names[names.index(stage) - 1])

    def part_target(self, features: Mapping[str, Tensor], part: str) -> Tensor:
        """The teacher's features that leave "entry" or a stage, kept channels only."""
        return features[part][:, self.behind[part]]
