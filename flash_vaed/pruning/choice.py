"""Which channels stay at every site, and how well they rebuild the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from flash_vaed.decoder import Decoder
from flash_vaed.pruning.anatomy import Anatomy, Site, walk
from flash_vaed.pruning.criteria import CRITERIA, Evidence, Reader
from flash_vaed.pruning.plan import CompressionPlan
from flash_vaed.pruning.reconstruction import pca_bound, reconstruction_r2
from flash_vaed.pruning.statistics import Statistics, pooled


@dataclass(frozen=True)
class Kept:
    """What stays of one site: `channels` of the teacher's `of`, ascending.

    r2: the share of the site's variance that a linear map of them rebuilds. bound: the most that any linear map of as
    many numbers could (PCA).
    """

    channels: list[int]
    of: int
    r2: float = 1.0
    bound: float = 1.0


def choose(
    teacher: Decoder, theirs: Anatomy, ours: Anatomy, plan: CompressionPlan, statistics: Statistics
) -> dict[str, Kept]:
    """What stays at every site of the student's anatomy."""
    generator = torch.Generator().manual_seed(plan.seed)
    evidence = EvidenceOf(teacher, ours, statistics)
    widths = {tap: site.channels for site in theirs.sites.values() for tap in site.taps}
    kept = {}
    for site in ours.sites.values():
        if site.channels == widths[site.taps[0]]:
            kept[site.name] = Kept(list(range(site.channels)), site.channels)
            continue
        found = evidence(site, plan.scaling, plan.weighting, generator)
        channels = sorted(CRITERIA.get(plan.criterion)(found)[: site.channels])
        covariance = found.moments.covariance
        r2, bound = reconstruction_r2(covariance, channels), pca_bound(covariance, len(channels))
        kept[site.name] = Kept(channels, widths[site.taps[0]], r2, bound)
    return kept


class EvidenceOf:
    """Gathers what criteria may look at: the moments of a site, the kernels that write it, what reads it."""

    def __init__(self, teacher: Decoder, anatomy: Anatomy, statistics: Statistics) -> None:
        self._places, self._anatomy, self._statistics = list(walk(teacher)), anatomy, statistics

    def __call__(self, site: Site, scaling: str, weighting: str, generator: torch.Generator) -> Evidence:
        written = tuple(self._statistics[tap] for tap in site.taps)
        moments, readers, gains, producers = pooled(written), [], [], []
        for layer, (path, module, kind) in zip(self._anatomy.layers, self._places, strict=True):
            for role, kernel in kind.writers(module).items():
                producers += [kernel] if getattr(layer, role) == site.name else []
            for role, read in kind.reads(module).items():
                if getattr(layer, role) == site.name:
                    seen = self._statistics[f"{path}.{read.behind}:input"] if read.behind else moments
                    readers.append(Reader(seen, read.kernel))
                    gains += [] if read.gain is None else [read.gain.detach()]
        return Evidence(moments, written, tuple(producers), tuple(readers), tuple(gains), scaling, weighting, generator)
