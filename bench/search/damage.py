"""What a choice costs in quality: the error of the frames when one stage alone is changed and refitted in closed form.

No gradient step is taken. The stage is rebuilt inside the teacher, what lies behind it stays, and the frames of clips
that the regression has not seen are compared with the teacher's. Errors of several stages are taken to add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.metrics.psnr import decibels
from bench.search.candidates import Choice, plan_of
from flash_vaed import Decoder
from flash_vaed.pruning import Statistics, compress


@dataclass(frozen=True)
class Judge:
    """fit: raw latents that the regression sees. judge: others, on which the error is taken."""

    teacher: Decoder
    statistics: Statistics
    fit: Sequence[Tensor]
    judge: Sequence[Tensor]

    @torch.no_grad()
    def mse(self, chosen: dict[str, Choice]) -> float:
        """Mean squared error of the frames, in [-1, 1], against the teacher's."""
        student = compress(self.teacher, plan_of(chosen), self.fit, self.statistics, compensate=False).decoder
        pairs = zip(self.judge, self._targets, strict=True)
        errors = [(student.decode(z, expect=None) - frames).square().mean() for z, frames in pairs]
        return float(torch.stack(errors).mean())

    @cached_property
    def _targets(self) -> list[Tensor]:
        """The teacher's frames of the judged clips."""
        return [self.teacher.decode(z, expect=None) for z in self.judge]


def psnr_db(mse: float) -> float:
    """Of frames in [-1, 1]."""
    return float(decibels(torch.tensor(mse)))
