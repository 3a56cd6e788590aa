"""What determines a distillation besides the data: phases in order, their budgets and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flash_vaed.distill.phase import PHASES
from flash_vaed.distill.settings import PhaseOptions, PhasePlan, Settings


@dataclass(frozen=True)
class DistilRecipe:
    """Phases in order, their steps and options. None leaves the student as it is.

    steps: in all, split by the phases' shares; a phase whose options name its steps has those. options: by phase, the
    phase's defaults where absent.
    """

    phases: tuple[str, ...] = ("align", "joint", "refine")
    steps: int = 120
    options: Mapping[str, PhaseOptions] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if len(set(self.phases)) < len(self.phases):
            raise ValueError(f"every phase comes once, not {', '.join(self.phases)}")
        if unused := sorted(set(self.options) - set(self.phases)):
            raise ValueError(f"options for {', '.join(unused)}, which is no phase of this recipe")
        self.plans()

    def plans(self) -> tuple[PhasePlan, ...]:
        """One plan per phase, in order; a `ValueError` where the budget is too small."""
        kinds = {name: PHASES.get(name) for name in self.phases}
        options = {name: self.options.get(name, kind.Options()) for name, kind in kinds.items()}
        fixed = {name: chosen.steps for name, chosen in options.items() if chosen.steps is not None}
        steps = {**split_steps({n: k.share for n, k in kinds.items() if n not in fixed}, self.steps), **fixed}
        return tuple(PhasePlan(name, steps[name], options[name]) for name in self.phases)


def split_steps(shares: Mapping[str, float], steps: int) -> dict[str, int]:
    """`steps` by share, at least one each; what rounding leaves goes to the largest."""
    if not shares:
        return {}
    if steps < len(shares):
        raise ValueError(f"{len(shares)} phases need at least as many steps, not {steps}")
    total = sum(shares.values())
    found = {name: max(1, int(steps * share / total)) for name, share in shares.items()}
    largest = max(found, key=lambda name: found[name])
    found[largest] += steps - sum(found.values())
    return found
