"""What this device does per second right now, by three calls that everybody understands.

Taken before and after a timing: rooflines are drawn from it, and a machine that changed meanwhile is found out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

from bench.timing import TimingPlan, interleaved, stopwatch_for

PLAN = TimingPlan(warmup_s=0.3, min_blocks=5, max_blocks=100, max_seconds=2.0)
SIDE = {"cpu": 2048, "cuda": 8192}  # of the square matrices
COPIED_BYTES = {"cpu": 256 * 2**20, "cuda": 2 * 2**30}  # far more than any cache holds


@dataclass(frozen=True)
class Calibration:
    """matmul_flops: of dense matrices, by dtype. copy_bytes: read and written. launch_s: of one empty operation."""

    matmul_flops: Mapping[str, float]
    copy_bytes: float
    launch_s: float

    def drift(self, later: Calibration) -> float:
        """The largest relative change of these rates."""
        pairs = [(rate, later.matmul_flops[dtype]) for dtype, rate in self.matmul_flops.items()]
        return max(abs(now / before - 1) for before, now in [*pairs, (self.copy_bytes, later.copy_bytes)])


@torch.no_grad()
def calibrate(device: torch.device, dtypes: Iterable[str]) -> Calibration:
    """Measure `device`; takes a few seconds. Rates are those of the fastest sample: what the machine can do."""
    side, numbers = SIDE[device.type], COPIED_BYTES[device.type] // 2 // 4
    calls: dict[str, Callable[[], object]] = {}
    for dtype in sorted(set(dtypes)):
        a, b = (torch.randn(side, side, device=device).to(getattr(torch, dtype)) for _ in range(2))
        calls[dtype] = functools.partial(torch.mm, a, b, out=torch.empty_like(a))
    source = torch.ones(numbers, device=device)
    target, single = torch.empty_like(source), torch.zeros(1, device=device)
    dense = list(calls)
    calls["copy"] = lambda: target.copy_(source)
    calls["launch"] = lambda: [single.add_(1) for _ in range(1000)]
    fastest: dict[str, float] = {}
    for sample in interleaved(calls, PLAN, stopwatch_for(device.type)):
        fastest[sample.arm] = min(sample.seconds, fastest.get(sample.arm, sample.seconds))
    rates = {dtype: 2 * side**3 / fastest[dtype] for dtype in dense}
    return Calibration(rates, 2 * 4 * numbers / fastest["copy"], fastest["launch"] / 1000)
