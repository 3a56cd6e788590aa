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
from flash_vaed.pruning.sites import way_in, way_out
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
    """Teacher, student, and which teacher channel each student channel stands for (`kept`, by site)."""

    teacher: Decoder
    student: Decoder
    kept: Mapping[str, list[int]]

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
        before = names[names.index(stage) - 1]
        return features[before][:, self.kept[way_in(self.teacher.spec, stage)]]

    def stage_target(self, features: Mapping[str, Tensor], stage: str) -> Tensor:
        """The teacher's features that leave `stage`, kept channels only."""
        return features[stage][:, self.kept[way_out(self.teacher.spec, stage)]]


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
