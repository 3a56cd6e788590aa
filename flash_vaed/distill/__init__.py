"""Teach a small decoder what its teacher decodes: one trainer, one file per phase."""

from flash_vaed.distill.phase import PHASES, Lesson, Phase
from flash_vaed.distill.trainer import DistilRecipe, History, distil

__all__ = ["PHASES", "DistilRecipe", "History", "Lesson", "Phase", "distil"]
