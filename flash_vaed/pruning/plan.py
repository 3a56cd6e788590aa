"""What to do to a decoder, as data: which operator and which width each stage gets."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from flash_vaed.decoder import Decoder
from flash_vaed.families import FAMILIES
from flash_vaed.pruning.anatomy import Anatomy, anatomy, walk
from flash_vaed.spec import DecoderSpec, FrozenMapping, StagePlan

SCALINGS = ("total", "mean")
WEIGHTINGS = ("none", "next", "output")
SUBSETS = ("stage", "block")
STARTS = ("random", "slice", "fold", "regression")
CHOICES = {"scaling": SCALINGS, "weighting": WEIGHTINGS, "subsets": SUBSETS, "start": STARTS}


@dataclass(frozen=True)
class StageEdit:
    """`operator`: its convolutions' new kind (None keeps them). `prune`: whether the plan's ratio applies to its width.
    `channels`: its width itself, instead of a ratio.
    """

    operator: str | None = None
    prune: bool = False
    channels: int | None = None

    def __post_init__(self) -> None:
        if self.channels is not None and (self.prune or self.channels < 1):
            raise ValueError(
                f"a stage has either prune or channels, a positive width; not prune={self.prune}, "
                f"channels={self.channels}"
            )


@dataclass(frozen=True)
class CompressionPlan:
    """Stages to edit, and how channels are chosen.

    ratio: share of channels that a pruned stage keeps, in (0, 1]. criterion: a name in `CRITERIA`.
    scaling: "total" lets loud channels count more, "mean" gives every channel equal weight (with weighting "none").
    weighting: whose error criterion independence counts, the channels' own ("none"), that behind the next convolutions
    ("next"), or that of the frames ("output"). subsets: "stage" keeps one set of channels through all blocks of a
    narrowed stage, whose shortcuts stay identities; "block" one per block, with 1x1x1 shortcuts, as Flash-VAED's
    released students.
    start: weights of what is changed: "random", "slice" (rows and columns of the teacher's), "fold" (lost channels
    folded into what reads them), "regression" (folded, then solved in closed form on the student's own inputs).
    """

    stages: FrozenMapping[str, StageEdit] = field(default_factory=lambda: FrozenMapping({}))
    ratio: float = 1.0
    criterion: str = "independence"
    scaling: str = "total"
    weighting: str = "output"
    subsets: str = "stage"
    start: str = "regression"
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.stages, FrozenMapping):
            object.__setattr__(self, "stages", FrozenMapping(self.stages))
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio is the share of channels kept, in (0, 1], not {self.ratio}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")
        if self.scaling == "mean" and self.weighting != "none":
            raise ValueError(
                f"scaling=mean gives every channel equal weight, weighting={self.weighting} weighs them by what they "
                "do; take weighting=none with scaling=mean, or scaling=total"
            )

    def width(self, stage: str, channels: int) -> int:
        """Channels that the plan leaves a stage of `channels`."""
        edit = self.stages.get(stage, StageEdit())
        if edit.channels is not None:
            return edit.channels
        return kept_channels(channels, self.ratio) if edit.prune else channels

    def to_json(self) -> dict[str, Any]:
        document = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return document | {"stages": {name: dataclasses.asdict(edit) for name, edit in self.stages.items()}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> CompressionPlan:
        stages = {name: StageEdit(**edit) for name, edit in document["stages"].items()}
        return cls(**{**document, "stages": FrozenMapping(stages)})


def student_spec(teacher: DecoderSpec, plan: CompressionPlan) -> DecoderSpec:
    """The teacher's spec with the plan applied: operators replaced, stages and the ways into them narrowed.

    Where a plan cannot be built from this teacher the `ValueError` names the stage.
    """
    spec = drafted_spec(teacher, plan)
    if spec != teacher:
        _check_surgery(teacher, spec)
    return spec


def drafted_spec(teacher: DecoderSpec, plan: CompressionPlan) -> DecoderSpec:
    """As `student_spec`, without the look at the layers that says whether surgery can make it: quick."""
    unknown = set(plan.stages) - set(teacher.stages)
    if unknown:
        raise ValueError(f"the plan edits stage {sorted(unknown)}; this decoder has {', '.join(teacher.stages)}")
    widths = {name: plan.width(name, stage.channels) for name, stage in teacher.stages.items()}
    for name, width in widths.items():
        if width > teacher.stages[name].channels:
            raise ValueError(f"stage {name} has {teacher.stages[name].channels} channels, so it cannot keep {width}")
    stages = {name: _student_stage(teacher, name, plan, widths) for name in teacher.stages}
    return dataclasses.replace(teacher, stages=FrozenMapping(stages))


def _student_stage(teacher: DecoderSpec, name: str, plan: CompressionPlan, widths: Mapping[str, int]) -> StagePlan:
    """One stage of the student. It hands over what the next one takes: the same share of channels as that one keeps."""
    stage, names = teacher.stages[name], list(teacher.stages)
    operator = plan.stages.get(name, StageEdit()).operator or stage.operator
    following = names[names.index(name) + 1] if name != names[-1] else None
    out = widths[name]
    if following is not None and stage.upsample != "none" and FAMILIES.get(teacher.family).projects_upward:
        out = kept_channels(stage.width_out, widths[following] / teacher.stages[following].channels)
    narrowed = widths[name] < stage.channels and plan.subsets == "block"
    shortcut = "always" if narrowed else stage.shortcut
    return dataclasses.replace(stage, operator=operator, channels=widths[name], out_channels=out, shortcut=shortcut)


@functools.lru_cache(maxsize=64)  # a grid asks the same of many points
def _check_surgery(teacher: DecoderSpec, student: DecoderSpec) -> None:
    """Both decoders consist of the same layers, none of them narrower than it can be; else a `ValueError`."""
    theirs, ours = on_meta(teacher), on_meta(student)
    before, after = anatomy(theirs), anatomy(ours)
    theirs_only, ours_only = _paths(before) - _paths(after), _paths(after) - _paths(before)
    for path in sorted(ours_only):
        raise ValueError(
            f"stage {path.split('.')[1]} has no projection of its own: it and the stage before it keep the same width"
        )
    for path in sorted(theirs_only):
        raise ValueError(_fall_together(path.split(".")[1], student))
    for layer, place, new in zip(after.layers, walk(theirs), walk(ours), strict=True):
        kind, stage = place.kind, layer.path.split(".")[1] if "." in layer.path else ""
        if not kind.prunable and kind.width(new.module) < kind.width(place.module):
            raise ValueError(f"stage {stage} has attention, whose heads need every channel; keep its width")
        if kind.ties(new.module) and not kind.ties(place.module):
            raise ValueError(_fall_together(stage, student))
        if kind.ties(new.module) and kind.width(new.module) != after.sites[layer.writes].channels:
            raise ValueError(f"stage {stage} shares its channels with the stage before it; narrow both or neither")


def _paths(found: Anatomy) -> set[str]:
    return {layer.path for layer in found.layers}


def _fall_together(stage: str, student: DecoderSpec) -> str:
    width = student.stages[stage].channels
    return f"{width} channels do not do for stage {stage}: the two widths it projects between would fall together"


def on_meta(spec: DecoderSpec) -> Decoder:
    """The decoder of `spec` without weights."""
    with torch.device("meta"):
        return Decoder(spec)


def kept_channels(channels: int, ratio: float) -> int:
    """`channels` times `ratio`, rounded, at least one."""
    return max(1, round(channels * ratio))
