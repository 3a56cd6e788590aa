"""Phase 3, refinement: features off; pixels, motion and fine detail against a mix of source and teacher frames.

Where only latents are known the teacher's frames are the whole target. A critic, off by default, judges patches: the
"sharp" variant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from flash_vaed.distill.critic import CriticTraining
from flash_vaed.distill.lesson import Lesson
from flash_vaed.distill.losses import PixelLoss, detail_energy, laplacian, psnr, temporal_difference
from flash_vaed.distill.pair import Pair
from flash_vaed.distill.phase import PHASES, Judgement, Phase
from flash_vaed.distill.processes import mean_over_processes
from flash_vaed.distill.settings import PhaseOptions


@dataclass(frozen=True)
class RefineOptions(PhaseOptions):
    """source_share: how much of the target is the video itself, the rest being what the teacher makes of it. motion,
    detail, energy: weights of the errors in frame-to-frame change, in fine detail, and in sharpness.
    critic: weight of the critic's verdict against the pixel loss, 0 for none; it counts from `critic_start` on, a
    share of the phase in which the critic alone learns.
    """

    source_share: float = 0.5
    motion: float = 5.0
    detail: float = 5.0
    energy: float = 0.0
    critic: float = 0.0
    critic_start: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.source_share <= 1 or min(self.motion, self.detail, self.energy, self.critic) < 0:
            raise ValueError(f"refine needs a source_share from 0 to 1 and weights of at least 0, not {self}")


@PHASES.register("refine")
class Refine(Phase[RefineOptions]):
    name = "refine"
    share = 0.30
    rate = 0.5
    Options = RefineOptions

    def __init__(self, pair: Pair, options: RefineOptions, pixel_loss: PixelLoss | None = None) -> None:
        super().__init__(pair, options, pixel_loss)
        self._critic = CriticTraining(next(pair.student.parameters())) if options.critic else None

    def judge(self, lesson: Lesson, progress: float) -> Judgement:
        options, frames = self.options, self.pair.student_features(lesson.latents)["frames"]
        theirs = lesson.features["frames"].clamp(-1, 1)
        target = self._target(lesson.source if options.source_share else None, theirs)
        terms = {"pixels": self.pixel_loss(frames, target)}
        if options.motion:
            change = (temporal_difference(frames) - temporal_difference(target)).abs().mean()
            terms["motion"] = options.motion * change
        if options.detail:
            terms["detail"] = options.detail * (laplacian(frames) - laplacian(target)).abs().mean()
        if options.energy:
            terms["energy"] = options.energy * detail_energy(frames, theirs)
        if self._critic is not None:
            verdict = self._critic.verdict(frames, target)
            heard = options.critic if progress >= options.critic_start else 0.0
            pixels = mean_over_processes({"pixels": terms["pixels"].item()})["pixels"]
            terms["critic"] = heard * pixels * verdict
        return Judgement(terms, {"psnr": psnr(frames.detach(), theirs).item()})

    def _target(self, source: Tensor | None, theirs: Tensor) -> Tensor:
        if source is None:
            return theirs
        share = self.options.source_share
        return share * source + (1 - share) * theirs

    def after_step(self, loss: float) -> None:
        if self._critic is not None:
            self._critic.step()

    def state_dict(self) -> dict[str, Any]:
        return {} if self._critic is None else self._critic.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._critic is not None:
            self._critic.load_state_dict(state)
