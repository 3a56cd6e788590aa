"""The search, top to bottom: calibrate, judge every choice of every stage, time their layers, solve.

Every judged choice and the layer times are cached, so a search that is interrupted goes on, and the same search on the
same kind of machine gives the same plans again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from bench.cache import Artefact, Cache
from bench.search.candidates import Choice, SearchSpace, candidates, fits, plan_of
from bench.search.damage import Judge
from bench.search.latency import PLAN, LayerTimes, conditions
from bench.search.solve import Plan, pareto_plans
from flash_vaed import Decoder, DecoderSpec
from flash_vaed.pruning import Statistics
from flash_vaed.pruning.plan import drafted_spec

VERSION = 1  # of how choices are judged and timed; raise it when that changes

Say = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """plans: the Pareto set, fastest first. teacher_s: the teacher's predicted time, from the same layer times."""

    plans: list[Plan]
    teacher_s: float


def search(
    teacher: Decoder,
    statistics: Statistics,
    fit: Sequence[Tensor],
    judge: Sequence[Tensor],
    timed_z_NCthw: Tensor,
    space: SearchSpace,
    cache: Cache,
    key: dict[str, Any],
    machine: str,
    say: Say,
) -> Found:
    """The Pareto set of plans for `teacher`. key: what `fit` and `judge` come from, for the cache. timed_z_NCthw: the
    latents whose decoding is to be quick, on the device that is timed.
    """
    choices = candidates(teacher.spec, space)
    judged = Judge(teacher, statistics, fit, judge)
    total, mse = sum(map(len, choices.values())), dict[tuple[str, Choice], float]()
    for stage, of_stage in choices.items():
        for choice in of_stage:
            say(f"judging {len(mse) + 1} of {total}: {stage} {choice.operator} {choice.channels}")
            mse[stage, choice] = _judged(judged, stage, choice, of_stage[0], cache, key)
    say("timing layers")
    times = _Times(teacher.spec, timed_z_NCthw, cache, machine)
    plans = pareto_plans(choices, mse, times.stage_s, times.entry_s())
    times.store()
    return Found(plans, times.layers.decoder_s(teacher.spec))


def _judged(judge: Judge, stage: str, choice: Choice, own: Choice, cache: Cache, key: dict[str, Any]) -> float:
    """The error of one choice, from the cache if it was judged before; the teacher's own costs nothing."""
    if choice == own:
        return 0.0

    def build() -> Artefact:
        return Artefact({}, {"mse": judge.mse({stage: choice})})

    what = {"version": VERSION, "stage": stage, "choice": dataclasses.asdict(choice)}
    return cache.fetch("damage", {**key, **what}, build).document["mse"]


class _Times:
    """Seconds of stages between their neighbours, from times of layers."""

    def __init__(self, teacher: DecoderSpec, z_NCthw: Tensor, cache: Cache, machine: str) -> None:
        self._teacher, self._cache = teacher, cache
        self._key = {
            **conditions(z_NCthw, machine), "version": VERSION, "timing": dataclasses.asdict(PLAN),
            "teacher": teacher.fingerprint(),
        }  # fmt: skip
        stored = cache.fetch("layer-times", self._key, lambda: Artefact({}, {}))
        self.layers = LayerTimes(z_NCthw, stored.document)
        self._by_stage: dict[Any, float | None] = {}

    def stage_s(self, stage: str, before: Choice | None, here: Choice, behind: Choice | None) -> float | None:
        """A stage's seconds, the last one's with the head, None where it and its neighbours do not fit together."""
        names = list(self._teacher.stages)
        i = names.index(stage)
        around = {names[i - 1]: before, stage: here, names[(i + 1) % len(names)]: behind}
        chosen = {name: choice for name, choice in around.items() if choice is not None}
        spec = drafted_spec(self._teacher, plan_of(chosen))
        key = (stage, spec.width_in(stage), spec.stages[stage])
        if key not in self._by_stage:
            self._by_stage[key] = self._measured_s(spec, stage) if fits(self._teacher, chosen) else None
        return self._by_stage[key]

    def _measured_s(self, spec: DecoderSpec, stage: str) -> float:
        parts = self.layers.parts_s(spec)
        return parts[stage] + (parts["head"] if stage == list(spec.stages)[-1] else 0.0)

    def entry_s(self) -> float:
        """The part in front of all stages."""
        return self.layers.parts_s(self._teacher)["entry"]

    def store(self) -> None:
        """Keep what was timed, for the next search."""
        self._cache.put("layer-times", self._key, Artefact({}, self.layers.seconds))
