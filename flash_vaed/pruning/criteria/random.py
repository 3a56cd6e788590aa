"""Keep channels by lot: the control that every criterion has to beat."""

from __future__ import annotations

import torch

from flash_vaed.pruning.criteria.base import CRITERIA, Evidence


@CRITERIA.register("random")
def random(evidence: Evidence) -> list[int]:
    """A permutation drawn with the plan's seed."""
    return torch.randperm(len(evidence.moments.mean), generator=evidence.generator).tolist()
