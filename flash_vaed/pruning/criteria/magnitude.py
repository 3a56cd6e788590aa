"""Keep the channels with the largest kernels (L2): the classical control, blind to the data."""

from __future__ import annotations

from flash_vaed.pruning.criteria.base import CRITERIA, Evidence, by_score


@CRITERIA.register("magnitude")
def magnitude(evidence: Evidence) -> list[int]:
    """By the L2 norm of the kernel rows that write a channel, each producer scaled to equal total weight."""
    return by_score([kernel.detach().double().flatten(1).norm(dim=1) for kernel in evidence.producers])
