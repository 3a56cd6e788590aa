"""Phase 2, joint distillation: the whole student on its own features, pixels first, features as a fading guide.

Dynamic weighting: a stage counts by its running share of the feature error, so effort goes to the worst one; the
features together weigh as much as the pixels at the start and a tenth of it at the end. Fixed weights are the control.
"""

from __future__ import annotations

import math

from torch import Tensor

from flash_vaed.distill.losses import pixel_loss, relative_mse
from flash_vaed.distill.phase import PHASES, Lesson, Pair, Phase

MEMORY = 0.9  # of the running stage errors
FIXED_WEIGHT = 1.0  # of the mean stage error when weights are not dynamic
LAST_SHARE = 0.1  # of the feature terms against the pixels, at the end


@PHASES.register("joint")
class Joint(Phase):
    name = "joint"
    share = 0.55

    def __init__(self, pair: Pair, dynamic: bool) -> None:
        super().__init__(pair, dynamic)
        self._running: dict[str, float] = {}

    def terms(self, lesson: Lesson, progress: float) -> dict[str, Tensor]:
        ours, theirs = self.pair.student.features(lesson.latents), lesson.features
        pixels = pixel_loss(ours["frames"], theirs["frames"])
        errors = {s: relative_mse(ours[s], self.pair.part_target(theirs, s)) for s in self.pair.changed_stages()}
        if not errors:
            return {"pixels": pixels}
        weights = self._weights({stage: error.item() for stage, error in errors.items()})
        features = sum((weights[stage] * error for stage, error in errors.items()), start=pixels.new_zeros(()))
        return {"pixels": pixels, "features": self._strength(pixels.item(), features.item(), progress) * features}

    def _weights(self, errors: dict[str, float]) -> dict[str, float]:
        """One weight per stage, summing to one."""
        if not self.dynamic:
            return dict.fromkeys(errors, 1 / len(errors))
        for stage, error in errors.items():
            self._running[stage] = MEMORY * self._running.get(stage, error) + (1 - MEMORY) * error
        total = sum(self._running.values()) or 1.0
        return {stage: error / total for stage, error in self._running.items()}

    def _strength(self, pixels: float, features: float, progress: float) -> float:
        """The factor that gives the features their share of the loss."""
        if not self.dynamic:
            return FIXED_WEIGHT
        share = LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))
        return share * pixels / max(features, 1e-8)
