"""What may become of each stage: every operator at every width that the teacher's wiring allows."""

from __future__ import annotations

from dataclasses import dataclass

from flash_vaed import DecoderSpec
from flash_vaed.pruning import CompressionPlan, StageEdit
from flash_vaed.pruning.plan import student_spec


@dataclass(frozen=True)
class Choice:
    """One stage's operator and width."""

    operator: str
    channels: int


@dataclass(frozen=True)
class SearchSpace:
    """operators: names. fractions: of the teacher's widths, rounded to `multiple` channels (not below it)."""

    operators: tuple[str, ...]
    fractions: tuple[float, ...]
    multiple: int

    def widths(self, channels: int) -> list[int]:
        """Widths of a stage that has `channels`, widest first."""
        steps = (int(channels * fraction / self.multiple + 0.5) for fraction in self.fractions)
        rounded = [max(1, step) * self.multiple for step in steps]
        return sorted({channels, *(width for width in rounded if width < channels)}, reverse=True)


def candidates(teacher: DecoderSpec, space: SearchSpace) -> dict[str, list[Choice]]:
    """Choices per stage, the teacher's own first. A width that the wiring forbids for the stage alone is left out."""
    found = {}
    for name, stage in teacher.stages.items():
        own = Choice(stage.operator, stage.channels)
        operators = dict.fromkeys((stage.operator, *space.operators))
        choices = [Choice(op, width) for width in space.widths(stage.channels) for op in operators]
        found[name] = [own, *(c for c in choices if c != own and fits(teacher, {name: c}))]
    return found


def plan_of(chosen: dict[str, Choice]) -> CompressionPlan:
    """The compression plan of one choice per stage."""
    edits = {name: StageEdit(choice.operator, channels=choice.channels) for name, choice in chosen.items()}
    return CompressionPlan(edits)  # type: ignore[arg-type]


def fits(teacher: DecoderSpec, chosen: dict[str, Choice]) -> bool:
    """Whether the choices, with the teacher's own for other stages, can be built."""
    try:
        student_spec(teacher, plan_of(chosen))
    except ValueError:
        return False
    return True
