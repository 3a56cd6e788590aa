"""What a phase is: which terms it adds up, and its part of the budget."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from flash_vaed.decoder import Decoder
from flash_vaed.pruning import Compressed
from flash_vaed.registry import Registry

PHASES: Registry[type[Phase]] = Registry("distillation phase", f"{__package__}.phases")


class Lesson:
    """One batch as every phase needs it: source frames, latents, and what the teacher makes of them (computed once)."""

    def __init__(self, teacher: Decoder, x_NCTHW: Tensor, z_NCthw: Tensor) -> None:
        self._teacher = teacher
        self.source, self.latents = x_NCTHW, z_NCthw

    @cached_property
    def features(self) -> dict[str, Tensor]:
        """The teacher's output of the entry, every stage and the head ("frames"), without gradients."""
        with torch.no_grad():
            return self._teacher.features(self.latents)


@dataclass(frozen=True)
class Pair:
    """Teacher, student, and which teacher channel each channel that leaves a part of the student stands for."""

    teacher: Decoder
    student: Decoder
    behind: Mapping[str, list[int]]

    @classmethod
    def of(cls, teacher: Decoder, compressed: Compressed) -> Pair:
        return cls(teacher, compressed.decoder, compressed.behind())

    def changed_stages(self) -> list[str]:
        """Stages whose operator or widths differ from the teacher's."""
        ours, theirs = self.student.spec, self.teacher.spec
        return [
            name
            for name in ours.stages
            if ours.stages[name] != theirs.stages[name] or ours.width_in(name) != theirs.width_in(name)
        ]

    def stage_input(self, features: Mapping[str, Tensor], stage: str) -> Tensor:
        """The teacher's features that enter `stage`, kept channels only."""
        names = ["entry", *self.teacher.spec.stages]
        return self.part_target(features, names[names.index(stage) - 1])

    def part_target(self, features: Mapping[str, Tensor], part: str) -> Tensor:
        """The teacher's features that leave "entry" or a stage, kept channels only."""
        return features[part][:, self.behind[part]]


class Phase(ABC):
    """One way of comparing student and teacher. Built once per training; `terms` is called every step.

    share: its part of the step budget, before normalising over the phases that are switched on. rate: its factor on the
    recipe's learning rates.
    """

    name: ClassVar[str]
    share: ClassVar[float]
    rate: ClassVar[float] = 1.0

    def __init__(self, pair: Pair, dynamic: bool) -> None:
        self.pair, self.dynamic = pair, dynamic

    @abstractmethod
    def terms(self, lesson: Lesson, progress: float) -> dict[str, Tensor]:
        """Named scalar terms whose sum is the loss; `progress` runs from 0 to 1 within the phase."""
