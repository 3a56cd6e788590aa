"""What a task is given and what it gives back: a workbench of two decoders, or a line-up of any number, in; rows of the
measurements table out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.cache import Cache
from bench.evaluation import EvaluationSet
from bench.programs import Program
from bench.spec import RunSpec
from flash_vaed import Decoder, Teacher
from flash_vaed.pruning import Statistics
from flash_vaed.registry import Registry

Row = dict[str, Any]


@dataclass(frozen=True)
class Workbench:
    """Everything a task may need. All decoders are on `device`, in the run's dtype; `say` shows one line of progress.

    untrained: the student before distillation, the same object as `student` where nothing was trained. evaluation,
    statistics: the judged clips, and the calibrated teacher; made or read from the cache when asked for. keep: writes
    the student into a folder of its own and says which. picture: stores frames of a judged clip, (3, T, H, W) by who
    made them, if pictures were asked for.
    """

    run_id: str
    spec: RunSpec
    device: torch.device
    teacher: Teacher
    teacher_decoder: Decoder
    student: Decoder
    untrained: Decoder
    evaluation: Callable[[], EvaluationSet]
    statistics: Callable[[], Statistics]
    say: Callable[[str], None]
    keep: Callable[[], Path]
    picture: Callable[[str, Mapping[str, Tensor]], None]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype both arms decode in."""
        return getattr(torch, self.spec.runtime.dtype)

    def decode(self, decoder: Decoder, z_NCthw: Tensor) -> Tensor:
        """Frames (N, 3, T, H, W) in [-1, 1] as float32 on the CPU, decoded the way the run asks for."""
        z_NCthw = z_NCthw.to(self.device, self.dtype)
        return decoder.decode(z_NCthw, chunk=self.spec.runtime.chunk, expect=None).float().cpu()


@dataclass(frozen=True)
class Making:
    """How a task of arms gets at what is made, not named. teacher, student: of the run's config, when asked for.

    videos: folder for what is generated. self_forcing_root: a checkout.
    """

    teacher: Callable[[], Decoder]
    student: Callable[[], Decoder]
    cache: Cache
    videos: Path
    self_forcing_root: str | None = None


@dataclass(frozen=True)
class Lineup:
    """What a task of arms needs. programs: those that can run here; absent: the others, with the reason."""

    run_id: str
    spec: RunSpec
    device: torch.device
    programs: Mapping[str, Program]
    absent: Mapping[str, str]
    say: Callable[[str], None]
    making: Making


Task = Callable[[Workbench], Iterator[Row]]

ArmTask = Callable[[Lineup], Iterator[Row]]

TASKS: Registry[Task] = Registry("task", package="bench.tasks")
ARM_TASKS: Registry[ArmTask] = Registry("task of arms", package="bench.tasks")
