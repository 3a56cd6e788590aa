"""How many channels each site of the teacher needs: the share of variance that the first k of a ranking rebuild, for
every k and every criterion. Beside them: the bound that no choice of channels can beat, and the best of all choices
where all of them can be tried.

No student is built. This is what pruning rests on: where a curve is near one after a few channels, the others are
linear maps of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from bench.records import measurement
from bench.tasks.base import TASKS, Row, Workbench
from flash_vaed.pruning import CRITERIA
from flash_vaed.pruning.anatomy import anatomy
from flash_vaed.pruning.choice import EvidenceOf
from flash_vaed.pruning.plan import WEIGHTINGS
from flash_vaed.pruning.reconstruction import best_subsets, pca_curve, r2_curve

LOTS = 3  # seeds of the criterion that draws
BOUND, BEST = "pca", "best subset"


@TASKS.register("redundancy")
def redundancy(bench: Workbench) -> Iterator[Row]:
    """Rows `r2_of_width`: site as `stage`, kept channels as `repeat`, criterion ("pca", "best subset") as `arm`."""
    teacher = bench.teacher.decoder
    bench.say("calibrating")
    found = anatomy(teacher)
    gather = EvidenceOf(teacher, found, bench.statistics())
    for site in found.sites.values():
        bench.say(f"ranking {site.name}")
        known = gather(site, bench.spec.prune.scaling, "none", torch.Generator())
        covariance = known.moments.covariance
        yield from _curve(bench, BOUND, site.name, pca_curve(covariance).tolist())
        yield from _curve(bench, BEST, site.name, list(best_subsets(covariance).values()))
        for name, criterion, weighting, seed in _choices():
            if criterion == "scale" and not known.gains:
                continue
            evidence = replace(known, weighting=weighting, generator=torch.Generator().manual_seed(seed))
            ranking = CRITERIA.get(criterion)(evidence)
            yield from _curve(bench, name, site.name, r2_curve(covariance, ranking).tolist())


def _choices() -> Iterator[tuple[str, str, str, int]]:
    """Name of the row, criterion, weighting and seed of every ranking."""
    for criterion in CRITERIA.names():
        if criterion == "independence":
            yield from ((f"independence, {weighting}", criterion, weighting, 0) for weighting in WEIGHTINGS)
        elif criterion == "random":
            yield from ((f"random, seed {seed}", criterion, "none", seed) for seed in range(LOTS))
        else:
            yield criterion, criterion, "none", 0


def _curve(bench: Workbench, arm: str, site: str, shares: list[float]) -> Iterator[Row]:
    for width, share in enumerate(shares, start=1):
        yield measurement(
            bench.run_id, arm, "r2_of_width", share, unit="1", higher_is_better=True, stage=site, repeat=width
        )  # fmt: skip
