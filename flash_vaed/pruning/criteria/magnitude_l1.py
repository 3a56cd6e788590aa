"""Keep the channels with the largest kernels (L1; Li et al. 2017, arXiv 1608.08710)."""

from __future__ import annotations

from flash_vaed.pruning.criteria.base import CRITERIA, Evidence, by_score


@CRITERIA.register("magnitude_l1")
def magnitude_l1(evidence: Evidence) -> list[int]:
    """By the L1 norm of the kernel rows that write a channel, each producer scaled to equal total weight."""
    return by_score([kernel.detach().double().flatten(1).abs().sum(dim=1) for kernel in evidence.producers])
