"""How phases are trained and what they can be told, as frozen values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from flash_vaed.distill.precision import PRECISIONS


@dataclass(frozen=True)
class Settings:
    """How every phase is trained.

    lr: scales both learning rates. follow_start: a student that starts near its teacher learns at a lower rate, see
    `training.rate_of_start`. batch: clips per micro-batch over all processes; accumulate: micro-batches per step.
    ema: decay of the averaged weights that a phase ends with, 0 for the last ones. checkpointing: activations of a
    stage are computed again on the way back instead of kept. perceptual: LPIPS is part of the pixel loss.
    """

    lr: float = 1.0
    muon_lr: float = 0.01
    adamw_lr: float = 1e-3
    follow_start: bool = True
    batch: int = 2
    accumulate: int = 1
    max_grad_norm: float = 1.0
    ema: float = 0.0
    precision: str = "float32"
    checkpointing: bool = False
    perceptual: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {self.precision!r}")
        if self.batch < 1 or self.accumulate < 1:
            raise ValueError(f"batch and accumulate are at least 1, not {self.batch} and {self.accumulate}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema is a decay, at least 0 and below 1, not {self.ema}")
        if not (self.lr > 0 and self.max_grad_norm > 0):
            raise ValueError(f"lr and max_grad_norm are above 0, not {self.lr} and {self.max_grad_norm}")


@dataclass(frozen=True)
class PhaseOptions:
    """What every phase can be told; each adds its own. steps: its optimiser steps, None for its share of the recipe's.
    frames: of its clips, None for the lengths that the recipe's data has.
    """

    steps: int | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"a phase has at least 1 step, not {self.steps}")


@dataclass(frozen=True)
class PhasePlan:
    """One phase with its part of the budget. All that precedes it and this determine the student behind it."""

    name: str
    steps: int
    options: PhaseOptions

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the number of steps is said once."""
        options = dataclasses.asdict(self.options)
        del options["steps"]
        return {"name": self.name, "steps": self.steps, "options": options}
