"""Teach a small decoder what its teacher decodes: one training loop, one file per phase."""

from flash_vaed.distill.lesson import Batch, Batches, Lesson, from_videos
from flash_vaed.distill.pair import Pair
from flash_vaed.distill.phase import PHASES, Judgement, Phase
from flash_vaed.distill.recipe import DistilRecipe
from flash_vaed.distill.settings import PhaseOptions, PhasePlan, Settings
from flash_vaed.distill.training import History, Progress, Snapshots, distil, train_phase

__all__ = [
    "PHASES",
    "Batch",
    "Batches",
    "DistilRecipe",
    "History",
    "Judgement",
    "Lesson",
    "Pair",
    "Phase",
    "PhaseOptions",
    "PhasePlan",
    "Progress",
    "Settings",
    "Snapshots",
    "distil",
    "from_videos",
    "train_phase",
]
