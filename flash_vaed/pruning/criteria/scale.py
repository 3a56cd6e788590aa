"""Keep the channels that norms amplify most (Network Slimming, Liu et al. 2017, arXiv 1708.06519)."""

from __future__ import annotations

from flash_vaed.pruning.criteria.base import CRITERIA, Evidence, by_score


@CRITERIA.register("scale")
def scale(evidence: Evidence) -> list[int]:
    """By the absolute gain of the norms that read a channel. Norms without gains (LTX-Video) are a `ValueError`."""
    if not evidence.gains:
        raise ValueError(
            "criterion scale reads the gains of norms, and no norm with gains reads this site; take another"
        )
    return by_score([gain.abs() for gain in evidence.gains])
