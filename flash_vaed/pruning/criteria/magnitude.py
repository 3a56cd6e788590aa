"""Keep the channels with the largest kernels: the classical control, blind to the data."""

from __future__ import annotations

from flash_vaed.pruning.criteria.base import CRITERIA, Evidence


@CRITERIA.register("magnitude")
def magnitude(evidence: Evidence) -> list[int]:
    """By the L2 norm of the kernel rows that write a channel, each producer scaled to equal total weight."""
    norms = [kernel.detach().double().flatten(1).norm(dim=1) for kernel in evidence.producers]
    score = sum(norm / norm.sum().clamp_min(1e-300) for norm in norms)
    return score.argsort(descending=True).tolist()  # type: ignore[union-attr]
