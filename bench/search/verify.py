"""Which plan keeps a budget, by measuring it: predictions choose what is tried, the clock decides.

Teacher and plan decode the same latents in turn. Where a plan turns out slower than predicted, a faster one is tried,
and the other way round; of those that are fast enough the best is taken.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections import defaultdict
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bench.cache import Artefact, Cache
from bench.placement import placed
from bench.search.candidates import plan_of
from bench.search.latency import conditions
from bench.search.search import Found
from bench.search.solve import Plan, best_within
from bench.timing import TimingPlan, interleaved, stopwatch_for
from flash_vaed import Decoder, DecoderSpec
from flash_vaed.pruning.plan import drafted_spec

TRIES = 6


def choose(found: Found, target_speedup: float, measure: Callable[[Plan], float]) -> tuple[Plan, float]:
    """The plan with the smallest error of those measured to be `target_speedup` times as fast as the teacher, and its
    speed-up. measure: the speed-up of a plan on the device. A `ValueError` that says what is possible where none is.
    """
    plans, aim, tried = found.plans, target_speedup, dict[int, float]()  # tried: place in the set, speed-up
    for _ in range(TRIES):
        place = plans.index(best_within(plans, found.teacher_s / aim))
        while tried.get(place, target_speedup) < target_speedup:
            place -= 1  # measured to be too slow: the next faster one
        if place < 0 or place in tried:
            break
        tried[place] = measure(plans[place])
        aim *= target_speedup / tried[place]
    enough = [(plans[place], speedup) for place, speedup in tried.items() if speedup >= target_speedup]
    if not enough:
        best = max(tried.values())
        raise ValueError(
            f"no plan was measured at {target_speedup} times the teacher's speed, the nearest at {best:.2f}; lower "
            "target_speedup, or allow more operators or smaller fractions"
        )
    return min(enough, key=lambda pair: pair[0].mse)


class Speedups:
    """Speed-ups of plans, measured once per kind of machine."""

    def __init__(self, teacher: Decoder, z_NCthw: Tensor, timing: TimingPlan, cache: Cache, machine: str) -> None:
        self._teacher = placed(teacher, z_NCthw.device, z_NCthw.dtype)
        self._z, self._timing, self._cache = z_NCthw, timing, cache
        self._key = {
            **conditions(z_NCthw, machine), "timing": dataclasses.asdict(timing),
            "teacher": teacher.spec.fingerprint(),
        }  # fmt: skip

    def __call__(self, plan: Plan) -> float:
        """Median over blocks of the teacher's time by the plan's. Weights are random, which time does not depend on."""
        student = drafted_spec(self._teacher.spec, plan_of(plan.chosen))
        key = {**self._key, "student": student.fingerprint()}
        return self._cache.fetch("speedup", key, lambda: Artefact({}, {"x": self._measured(student)})).document["x"]

    @torch.no_grad()
    def _measured(self, student: DecoderSpec) -> float:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            arms = {"teacher": self._teacher, "plan": Decoder(student).to(self._z.device, self._z.dtype).eval()}
        calls = {arm: partial(decoder.decode, self._z, expect=None) for arm, decoder in arms.items()}
        blocks: dict[str, dict[int, float]] = {arm: defaultdict(float) for arm in arms}
        for sample in interleaved(calls, self._timing, stopwatch_for(self._z.device.type)):
            blocks[sample.arm][sample.block] += sample.seconds
        return statistics.median(seconds / blocks["plan"][block] for block, seconds in blocks["teacher"].items())
