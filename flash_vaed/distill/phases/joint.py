"""Phase 2, joint distillation: the whole student on its own features, pixels first, features as a fading guide.

Dynamic weighting: a stage counts by its running share of the feature error, so effort goes to the worst one; the
features together start at a given share of the pixels and fade to a tenth of that. Fixed weights are the control.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flash_vaed.distill.lesson import Lesson
from flash_vaed.distill.losses import PixelLoss, psnr, relative_mse
from flash_vaed.distill.pair import Pair
from flash_vaed.distill.phase import PHASES, Judgement, Phase
from flash_vaed.distill.processes import mean_over_processes
from flash_vaed.distill.settings import PhaseOptions

MEMORY = 0.9  # of the running stage errors
FIXED_WEIGHT = 1.0  # of the mean stage error when weights are not dynamic
FADES_TO = 0.1  # of the first share of the features, at the end


@dataclass(frozen=True)
class JointOptions(PhaseOptions):
    """dynamic: weights of the stages that follow their errors and fade, or equal ones that stay. features: what all
    features together weigh against the pixels in the first step, when dynamic.
    """

    dynamic: bool = True
    features: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features < 0:
            raise ValueError(f"joint needs a weight of the features of at least 0, not {self.features}")


@PHASES.register("joint")
class Joint(Phase[JointOptions]):
    name = "joint"
    share = 0.55
    Options = JointOptions

    def __init__(self, pair: Pair, options: JointOptions, pixel_loss: PixelLoss | None = None) -> None:
        super().__init__(pair, options, pixel_loss)
        self._running: dict[str, float] = {}

    def judge(self, lesson: Lesson, progress: float) -> Judgement:
        ours, theirs = self.pair.student_features(lesson.latents), lesson.features
        pixels = self.pixel_loss(ours["frames"], theirs["frames"])
        errors = {s: relative_mse(ours[s], self.pair.part_target(theirs, s)) for s in self.pair.changed_stages()}
        quality = psnr(ours["frames"].detach(), theirs["frames"]).item()
        if not errors:
            return Judgement({"pixels": pixels}, {"psnr": quality})
        now = mean_over_processes({"": pixels.item(), **{stage: error.item() for stage, error in errors.items()}})
        pixels_now = now.pop("")
        weights = self._weights(now)
        features = sum((weights[stage] * error for stage, error in errors.items()), start=pixels.new_zeros(()))
        features_now = sum(weights[stage] * error for stage, error in now.items())
        terms = {"pixels": pixels, "features": self._strength(pixels_now, features_now, progress) * features}
        return Judgement(terms, {"psnr": quality, **{f"weight of {stage}": w for stage, w in weights.items()}})

    def _weights(self, errors: Mapping[str, float]) -> dict[str, float]:
        """One weight per stage, summing to one."""
        if not self.options.dynamic:
            return dict.fromkeys(errors, 1 / len(errors))
        for stage, error in errors.items():
            self._running[stage] = MEMORY * self._running.get(stage, error) + (1 - MEMORY) * error
        total = sum(self._running.values()) or 1.0
        return {stage: error / total for stage, error in self._running.items()}

    def _strength(self, pixels: float, features: float, progress: float) -> float:
        """The factor that gives the features their share of the loss."""
        if not self.options.dynamic:
            return FIXED_WEIGHT
        fade = FADES_TO + (1 - FADES_TO) * 0.5 * (1 + math.cos(math.pi * progress))
        return self.options.features * fade * pixels / max(features, 1e-8)

    def state_dict(self) -> dict[str, Any]:
        return {"running": self._running}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._running = dict(state["running"])
