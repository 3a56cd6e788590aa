"""What to do to a decoder, as data: which operator and which width each stage gets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flash_vaed.families import FAMILIES
from flash_vaed.spec import DecoderSpec, FrozenMapping

SCALINGS = ("total", "mean")


@dataclass(frozen=True)
class StageEdit:
    """`operator`: its convolutions' new kind (None keeps them). `prune`: whether the ratio applies to its width."""

    operator: str | None = None
    prune: bool = False


@dataclass(frozen=True)
class CompressionPlan:
    """Stages to edit, and how channels are chosen.

    ratio: share of channels that a pruned stage keeps, in (0, 1]. criterion: a name in `CRITERIA`.
    scaling: "total" lets loud channels count more, "mean" gives every channel equal weight.
    refit: solve the changed layers in closed form on the student's own inputs after slicing.
    """

    stages: FrozenMapping[str, StageEdit] = field(default_factory=lambda: FrozenMapping({}))
    ratio: float = 1.0
    criterion: str = "independence"
    scaling: str = "total"
    refit: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.stages, FrozenMapping):
            object.__setattr__(self, "stages", FrozenMapping(self.stages))
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio is the share of channels kept, in (0, 1], not {self.ratio}")
        if self.scaling not in SCALINGS:
            raise ValueError(f"scaling is one of {', '.join(SCALINGS)}, not {self.scaling!r}")

    def to_json(self) -> dict[str, Any]:
        document = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return document | {"stages": {name: dataclasses.asdict(edit) for name, edit in self.stages.items()}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> CompressionPlan:
        stages = {name: StageEdit(**edit) for name, edit in document["stages"].items()}
        return cls(**{**document, "stages": FrozenMapping(stages)})


def student_spec(teacher: DecoderSpec, plan: CompressionPlan) -> DecoderSpec:
    """The teacher's spec with the plan applied: operators replaced, pruned stages and the way into them narrowed."""
    unknown = set(plan.stages) - set(teacher.stages)
    if unknown:
        raise ValueError(f"the plan edits stage {sorted(unknown)}; this decoder has {', '.join(teacher.stages)}")
    if any(edit.prune or edit.operator for edit in plan.stages.values()):
        _check_compressible(teacher)
    names = list(teacher.stages)
    stages = {}
    for position, name in enumerate(names):
        stage, edit = teacher.stages[name], plan.stages.get(name, StageEdit())
        into_pruned = position + 1 < len(names) and plan.stages.get(names[position + 1], StageEdit()).prune
        if edit.prune and stage.attention:
            raise ValueError(f"stage {name} has attention, whose heads need every channel; set prune: false there")
        if edit.prune and position == 0:
            raise ValueError(f"the first stage, {name}, is fed by the unpruned entry; set prune: false there")
        channels = kept_channels(stage.channels, plan.ratio) if edit.prune else stage.channels
        out = channels
        if stage.upsample != "none":
            out = kept_channels(stage.width_out, plan.ratio) if into_pruned else stage.width_out
        elif into_pruned != edit.prune and position + 1 < len(names):
            raise ValueError(f"stages {name} and {names[position + 1]} share one stream; prune both or neither")
        stages[name] = dataclasses.replace(
            stage, operator=edit.operator or stage.operator, channels=channels, out_channels=out
        )
    spec = dataclasses.replace(teacher, stages=FrozenMapping(stages))
    for name in names:
        ours, theirs = (s.width_in(name) == s.stages[name].channels for s in (spec, teacher))
        if ours != theirs:
            raise ValueError(f"ratio {plan.ratio:g} is too small for stage {name}: its widths would fall together")
    return spec


def _check_compressible(teacher: DecoderSpec) -> None:
    if not FAMILIES.get(teacher.family).compressible:
        raise ValueError(
            f"a decoder of family {teacher.family} cannot be compressed: its blocks are not known to pruning"
        )
    if any(plan.skip for plan in teacher.stages.values()):
        raise ValueError(
            "a decoder with skips around its stages (Wan 2.2) cannot be compressed: they tie all its widths"
        )


def kept_channels(channels: int, ratio: float) -> int:
    """`channels` times `ratio`, rounded, at least one."""
    return max(1, round(channels * ratio))
