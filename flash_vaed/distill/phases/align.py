"""Phase 1, stage-wise alignment: every changed stage learns the teacher's output from the teacher's input, in parallel.

No stage waits for another and no error passes on, so the budget goes to the swapped operators themselves. The closed
form starts them near the optimum of this very loss, so the rate is low. It ends when the loss has stopped falling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from flash_vaed.distill.lesson import Lesson
from flash_vaed.distill.losses import PixelLoss, relative_mse, temporal_difference
from flash_vaed.distill.pair import Pair
from flash_vaed.distill.phase import PHASES, Judgement, Phase
from flash_vaed.distill.settings import PhaseOptions


@dataclass(frozen=True)
class AlignOptions(PhaseOptions):
    """motion: weight of the error in frame-to-frame change. window: steps whose mean loss is compared with that of the
    window before; plateau: the phase ends where it has not fallen by this share, 0 for never.
    """

    motion: float = 0.1
    window: int = 50
    plateau: float = 0.01


@PHASES.register("align")
class Align(Phase[AlignOptions]):
    name = "align"
    share = 0.15
    rate = 0.1
    Options = AlignOptions

    def __init__(self, pair: Pair, options: AlignOptions, pixel_loss: PixelLoss | None = None) -> None:
        super().__init__(pair, options, pixel_loss)
        self._losses: list[float] = []  # of the last two windows

    def judge(self, lesson: Lesson, progress: float) -> Judgement:
        pair, features = self.pair, lesson.features
        terms = {}
        for stage in pair.changed_stages():
            output = pair.run(stage, pair.stage_input(features, stage))
            terms[stage] = self._error(output, pair.part_target(features, stage))
        last = list(pair.teacher.spec.stages)[-1]
        terms["head"] = self._error(pair.run("head", pair.part_target(features, last)), features["frames"])
        return Judgement(terms)

    def _error(self, output: Tensor, target: Tensor) -> Tensor:
        motion = relative_mse(temporal_difference(output), temporal_difference(target))
        return relative_mse(output, target) + self.options.motion * motion

    def after_step(self, loss: float) -> None:
        self._losses = [*self._losses, loss][-2 * self.options.window :]

    def done(self) -> bool:
        window = self.options.window
        if self.options.plateau == 0 or len(self._losses) < 2 * window:
            return False
        before, now = sum(self._losses[:window]), sum(self._losses[window:])
        return now > (1 - self.options.plateau) * before

    def state_dict(self) -> dict[str, Any]:
        return {"losses": self._losses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._losses = list(state["losses"])
