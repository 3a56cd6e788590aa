"""How long a call takes, for arms that are to be compared: in turn, in one process, every sample kept.

Machines drift: clocks heat up, neighbours wake. The arms are therefore timed in blocks of the order A B B A, so that
a slow drift falls on all of them alike, and the ratio of two arms is formed within blocks. Each arm is warmed up by
time first. Nobody averages here: medians and intervals are computed when results are read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TimingPlan:
    """How long to measure. A block times every arm twice; blocks are added until `max_blocks` or `max_seconds` is
    reached.

    warmup_s: seconds of untimed calls per arm, at least one call. min_blocks: run even when they take longer than
    `max_seconds`. max_seconds: budget for the timed blocks, all arms together.
    """

    warmup_s: float = 0.5
    min_blocks: int = 3
    max_blocks: int = 20
    max_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.min_blocks < 1 or self.max_blocks < self.min_blocks:
            raise ValueError(f"timing needs 1 <= min_blocks <= max_blocks, got {self.min_blocks} and {self.max_blocks}")
        if self.warmup_s < 0 or self.max_seconds < 0:
            raise ValueError(f"timing needs seconds >= 0, not warmup_s={self.warmup_s}, max_seconds={self.max_seconds}")


@dataclass(frozen=True)
class Sample:
    """One timed call. `repeat` counts the samples of its arm; samples 2k and 2k + 1 belong to block k."""

    arm: str
    block: int
    repeat: int
    seconds: float


def interleaved(
    arms: Mapping[str, Callable[[], object]],
    plan: TimingPlan,
    synchronize: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Sample]:
    """Time every arm in ABBA blocks (for n arms: 1 .. n, n .. 1); samples come in the order they were taken.

    synchronize: waits for the device's queue (`torch.cuda.synchronize`); called before and after each timed call.
    """
    for fn in arms.values():
        _warm_up(fn, plan.warmup_s, synchronize, clock)
    order = [*arms, *reversed(list(arms))]
    taken = dict.fromkeys(arms, 0)
    samples: list[Sample] = []
    start_s = clock()
    for block in range(plan.max_blocks):
        if block >= plan.min_blocks and clock() - start_s >= plan.max_seconds:
            break
        for arm in order:
            samples.append(Sample(arm, block, taken[arm], _seconds_of(arms[arm], synchronize, clock)))
            taken[arm] += 1
    return samples


def _warm_up(
    fn: Callable[[], object], seconds: float, synchronize: Callable[[], None], clock: Callable[[], float]
) -> None:
    """Call `fn` until `seconds` have passed, once at least."""
    end_s = clock() + seconds
    while True:
        fn()
        synchronize()
        if clock() >= end_s:
            return


def _seconds_of(fn: Callable[[], object], synchronize: Callable[[], None], clock: Callable[[], float]) -> float:
    """One timed call."""
    synchronize()
    start_s = clock()
    fn()
    synchronize()
    return clock() - start_s
