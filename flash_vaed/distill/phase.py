"""What a phase is: which terms it adds up, its part of the budget, and what else it remembers between steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

from flash_vaed.distill.lesson import Lesson
from flash_vaed.distill.losses import PixelLoss
from flash_vaed.distill.pair import Pair
from flash_vaed.distill.settings import PhaseOptions
from flash_vaed.registry import Registry

PHASES: Registry[type[Phase[Any]]] = Registry("distillation phase", f"{__package__}.phases")

O = TypeVar("O", bound=PhaseOptions)  # noqa: E741


@dataclass(frozen=True)
class Judgement:
    """terms: named scalars whose sum is the loss. watched: what else goes into the training curve, such as PSNR."""

    terms: Mapping[str, Tensor]
    watched: Mapping[str, float] = field(default_factory=dict)


class Phase(ABC, Generic[O]):
    """One way of comparing student and teacher. Built once per training; `judge` is called for every batch.

    share: its part of the step budget, before normalising over the phases that are switched on. rate: its factor on the
    recipe's learning rates. Options: a frozen dataclass of what it can be told.
    """

    name: ClassVar[str]
    share: ClassVar[float]
    rate: ClassVar[float] = 1.0
    Options: ClassVar[type[PhaseOptions]] = PhaseOptions

    def __init__(self, pair: Pair, options: O, pixel_loss: PixelLoss | None = None) -> None:
        self.pair, self.options, self.pixel_loss = pair, options, pixel_loss or PixelLoss()

    @abstractmethod
    def judge(self, lesson: Lesson, progress: float) -> Judgement:
        """The terms of a batch; `progress` runs from 0 to 1 within the phase."""

    def after_step(self, loss: float) -> None:
        """Called behind every step of the student with the loss, the mean over all processes."""

    def done(self) -> bool:
        """Whether more steps would not help; asked before each one."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """What it remembers between steps: tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
