"""What a choice costs in quality: the error of the frames when one stage alone is changed and refitted in closed form.

No gradient step is taken. The stage is rebuilt inside the teacher, what lies behind it stays, and the frames of clips
that the regression has not seen are compared with the teacher's. Errors of several stages are taken to add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

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
        errors = [
            (student.decode(z, expect=None) - self.teacher.decode(z, expect=None)).square().mean() for z in self.judge
        ]
        return float(torch.stack(errors).mean())


def psnr_db(mse: float) -> float:
    """Of frames in [-1, 1]."""
    return float(10 * torch.log10(torch.tensor(4.0 / max(mse, 1e-10))))
