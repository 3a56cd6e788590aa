"""Keep the channels that are loudest on real clips: looks at the data, not at what channels know of each other."""

from __future__ import annotations

from flash_vaed.pruning.criteria.base import CRITERIA, Evidence, by_score


@CRITERIA.register("activation")
def activation(evidence: Evidence) -> list[int]:
    """By mean square, each layer that writes the site scaled to equal total."""
    return by_score([moments.covariance.diagonal() + moments.mean.square() for moments in evidence.written])
