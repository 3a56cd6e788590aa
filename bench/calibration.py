"""What this device does per second right now, by three calls that everybody understands.

Taken before and after a timing: rooflines are drawn from it, and a machine that changed meanwhile is found out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bench.timing import TimingPlan, interleaved, stopwatch_for

PLAN = TimingPlan(warmup_s=0.05, min_blocks=5, max_blocks=40, max_seconds=0.4)
SIDE = {"cpu": 2048, "cuda": 8192}  # of the square matrices
COPIED_BYTES = {"cpu": 256 * 2**20, "cuda": 2 * 2**30}  # far more than any cache holds


@dataclass(frozen=True)
class Calibration:
    """matmul_flops: of dense matrices in the dtype that is timed. copy_bytes: read and written. launch_s: of one empty
    operation.
    """

    matmul_flops: float
    copy_bytes: float
    launch_s: float

    def drift(self, later: Calibration) -> float:
        """The larger relative change of the two rates."""
        pairs = ((self.matmul_flops, later.matmul_flops), (self.copy_bytes, later.copy_bytes))
        return max(abs(now / before - 1) for before, now in pairs)


@torch.no_grad()
def calibrate(device: torch.device, dtype: torch.dtype) -> Calibration:
    """Measure `device`; takes about a second and a half."""
    side, numbers = SIDE[device.type], COPIED_BYTES[device.type] // 2 // 4
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    source = torch.ones(numbers, device=device)
    target, single = torch.empty_like(source), torch.zeros(1, device=device)
    product = torch.empty_like(a)
    calls = {
        "matmul": lambda: torch.mm(a, b, out=product),
        "copy": lambda: target.copy_(source),
        "launch": lambda: [single.add_(1) for _ in range(1000)],
    }
    fastest: dict[str, float] = {}
    for sample in interleaved(calls, PLAN, stopwatch_for(device.type)):
        fastest[sample.arm] = min(sample.seconds, fastest.get(sample.arm, sample.seconds))
    return Calibration(2 * side**3 / fastest["matmul"], 2 * 4 * numbers / fastest["copy"], fastest["launch"] / 1000)
