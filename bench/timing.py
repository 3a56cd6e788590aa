"""How long a call takes, for arms that are to be compared: in turn, in one process, every sample kept.

Machines drift: clocks heat up, neighbours wake. The arms are therefore timed in blocks of the order A B B A, so that
a slow drift falls on all of them alike, and the ratio of two arms is formed within blocks. Each arm is warmed up by
time first. Medians and intervals are computed when results are read; only calls that are too short for the clock are
averaged here, by `min_sample_s`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TimingPlan:
    """How long to measure. A block times every arm twice; blocks are added until `max_blocks` or `max_seconds` is
    reached.

    warmup_s: seconds of untimed calls per arm, at least one call. min_blocks: run even when they take longer than
    `max_seconds`. max_seconds: budget for the timed blocks, all arms together. min_sample_s: a sample is the mean of as
    many calls in a row as take this long.
    """

    warmup_s: float = 0.5
    min_blocks: int = 3
    max_blocks: int = 20
    max_seconds: float = 5.0
    min_sample_s: float = 0.0

    def __post_init__(self) -> None:
        if self.min_blocks < 1 or self.max_blocks < self.min_blocks:
            raise ValueError(f"timing needs 1 <= min_blocks <= max_blocks, got {self.min_blocks} and {self.max_blocks}")
        for name in ("warmup_s", "max_seconds", "min_sample_s"):
            if (seconds := getattr(self, name)) < 0:
                raise ValueError(f"timing needs seconds >= 0, not {name}={seconds}")


@dataclass(frozen=True)
class Sample:
    """One sample. `repeat` counts those of its arm; samples 2k and 2k + 1 belong to block k.

    seconds: from the call until the device is done. host_seconds: until the call returned; where it is as long as the
    other on a GPU, the GPU waits for the host. device_seconds: between two marks in a GPU's own queue, else None.
    """

    arm: str
    block: int
    repeat: int
    seconds: float
    host_seconds: float
    device_seconds: float | None = None


class Stopwatch:
    """Times a call on a CPU. synchronize: waits until what was called for is done."""

    def __init__(
        self, synchronize: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.synchronize, self.clock = synchronize, clock

    def time(self, fn: Callable[[], object], calls: int = 1) -> tuple[float, float, float | None]:
        """Seconds per call, host seconds per call, and those of the device."""
        self.synchronize()
        start_s = self.clock()
        for _ in range(calls):
            fn()
        returned_s = self.clock()
        self.synchronize()
        return (self.clock() - start_s) / calls, (returned_s - start_s) / calls, None


class CudaStopwatch(Stopwatch):
    """Times a call on a GPU by the host's clock and by events in the GPU's queue."""

    def __init__(self) -> None:
        import torch

        super().__init__(torch.cuda.synchronize)
        self._event = lambda: torch.cuda.Event(enable_timing=True)

    def time(self, fn: Callable[[], object], calls: int = 1) -> tuple[float, float, float | None]:
        begun, ended = self._event(), self._event()

        def between_marks() -> None:
            begun.record()
            for _ in range(calls):
                fn()
            ended.record()

        seconds, host_seconds, _ = super().time(between_marks)
        return seconds / calls, host_seconds / calls, begun.elapsed_time(ended) / 1e3 / calls


def stopwatch_for(device_kind: str) -> Stopwatch:
    """The stopwatch of a kind of device."""
    return CudaStopwatch() if device_kind == "cuda" else Stopwatch()


def interleaved(
    arms: Mapping[str, Callable[[], object]], plan: TimingPlan, watch: Stopwatch | None = None,
    prepare: Callable[[str], object] = lambda arm: None,
) -> list[Sample]:  # fmt: skip
    """Time every arm in ABBA blocks (for n arms: 1 .. n, n .. 1); samples come in the order they were taken.

    prepare: called with the arm's name before each of its samples, and not timed.
    """
    watch = watch or Stopwatch()
    calls = {}
    for arm, fn in arms.items():
        prepare(arm)
        calls[arm] = _warm_up(fn, plan, watch)
    order = [*arms, *reversed(list(arms))]
    taken = dict.fromkeys(arms, 0)
    samples: list[Sample] = []
    start_s = watch.clock()
    for block in range(plan.max_blocks):
        if block >= plan.min_blocks and watch.clock() - start_s >= plan.max_seconds:
            break
        for arm in order:
            prepare(arm)
            samples.append(Sample(arm, block, taken[arm], *watch.time(arms[arm], calls[arm])))
            taken[arm] += 1
    return samples


def _warm_up(fn: Callable[[], object], plan: TimingPlan, watch: Stopwatch) -> int:
    """Call `fn` until the plan's seconds have passed, once at least; how many calls a sample then takes."""
    end_s = watch.clock() + plan.warmup_s
    while True:
        seconds, _, _ = watch.time(fn)
        if watch.clock() >= end_s:
            return max(1, math.ceil(plan.min_sample_s / max(seconds, 1e-9)))
