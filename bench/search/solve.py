"""The best plans: the Pareto set of time and error over all choices, stage by stage.

A stage's time depends on its own choice and on the widths of its neighbours, so partial plans are compared only where
they end in the same choice; of those, one that is both slower and worse can never become part of a best plan (its
neighbours ahead see the same). Exact where errors add up; without randomness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.search.candidates import Choice

Chosen = tuple[Choice, ...]


@dataclass(frozen=True)
class Plan:
    """One choice per stage, its predicted seconds and squared error."""

    chosen: dict[str, Choice]
    seconds: float
    mse: float


@dataclass(frozen=True)
class _Partial:
    chosen: Chosen
    seconds: float
    mse: float


def pareto_plans(
    choices: Mapping[str, Sequence[Choice]],
    mse: Mapping[tuple[str, Choice], float],
    seconds: Callable[[str, Choice | None, Choice, Choice | None], float | None],
    other_s: float = 0.0,
) -> list[Plan]:
    """Plans of which none other is both faster and better, fastest first.

    mse: error of each (stage, choice). seconds: of (stage, choice before, choice, choice behind), None where they do
    not fit together. other_s: what every plan takes besides.
    """
    names = list(choices)
    # A label ends in two choices: the time of the first of them is known once the second is.
    labels: dict[tuple[Choice | None, Choice], list[_Partial]] = {
        (None, first): [_Partial((first,), other_s, mse[names[0], first])] for first in choices[names[0]]
    }
    for i, name in enumerate(names):
        following = choices[names[i + 1]] if i + 1 < len(names) else (None,)
        grown: dict[tuple[Choice | None, Choice], list[_Partial]] = {}
        for (before, here), partials in labels.items():
            for behind in following:
                taken = seconds(name, before, here, behind)
                if taken is None:
                    continue
                key = (here, behind) if behind is not None else (None, here)
                grown.setdefault(key, []).extend(_extended(partial, taken, behind, names, mse) for partial in partials)
        labels = {key: _front(partials) for key, partials in grown.items()}
    ends = _front([partial for partials in labels.values() for partial in partials])
    return [Plan(dict(zip(names, end.chosen, strict=True)), end.seconds, end.mse) for end in ends]


def best_within(plans: Sequence[Plan], budget_s: float) -> Plan:
    """The best plan predicted to keep the budget, the fastest one where none is."""
    fitting = [plan for plan in plans if plan.seconds <= budget_s]
    if fitting:
        return min(fitting, key=lambda plan: (plan.mse, plan.seconds))
    return min(plans, key=lambda plan: plan.seconds)


def _extended(
    partial: _Partial,
    taken: float,
    behind: Choice | None,
    names: Sequence[str],
    mse: Mapping[tuple[str, Choice], float],
) -> _Partial:
    if behind is None:
        return _Partial(partial.chosen, partial.seconds + taken, partial.mse)
    more = mse[names[len(partial.chosen)], behind]
    return _Partial((*partial.chosen, behind), partial.seconds + taken, partial.mse + more)


def _front(partials: Sequence[_Partial]) -> list[_Partial]:
    """Those that no other beats in both, fastest first."""
    kept: list[_Partial] = []
    for partial in sorted(partials, key=lambda p: (p.seconds, p.mse)):
        if not kept or partial.mse < kept[-1].mse:
            kept.append(partial)
    return kept
