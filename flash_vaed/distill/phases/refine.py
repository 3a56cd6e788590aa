"""Phase 3, refinement: features off; pixels, motion and fine detail against a mix of source and teacher frames."""

from __future__ import annotations

from torch import Tensor

from flash_vaed.distill.losses import laplacian, pixel_loss, temporal_difference
from flash_vaed.distill.phase import PHASES, Lesson, Phase

SOURCE_SHARE = 0.5  # of the target: half the video itself, half what the teacher makes of it
MOTION_WEIGHT = 5.0
DETAIL_WEIGHT = 5.0


@PHASES.register("refine")
class Refine(Phase):
    name = "refine"
    share = 0.30

    def terms(self, lesson: Lesson, progress: float) -> dict[str, Tensor]:
        frames = self.pair.student(lesson.latents)
        target = SOURCE_SHARE * lesson.source + (1 - SOURCE_SHARE) * lesson.features["frames"].clamp(-1, 1)
        motion = (temporal_difference(frames) - temporal_difference(target)).abs().mean()
        detail = (laplacian(frames) - laplacian(target)).abs().mean()
        return {
            "pixels": pixel_loss(frames, target),
            "motion": MOTION_WEIGHT * motion,
            "detail": DETAIL_WEIGHT * detail,
        }
