"""Where channels can go: the tensors that must be cut together, derived from the spec, never traced.

Per stage: the stream (the residual blocks' shared sum, one subset per stage, so that shortcuts stay identities), the
way in (what the previous stage hands over; part of the stream where no projection lies between) and the inside of each
block.
"""

from __future__ import annotations

from dataclasses import dataclass

from flash_vaed.spec import DecoderSpec


@dataclass(frozen=True)
class Site:
    """`taps`: paths of the modules whose outputs carry these channels; their statistics are pooled."""

    name: str
    stage: str
    channels: int
    taps: tuple[str, ...]


def way_in(spec: DecoderSpec, stage: str) -> str:
    """The name of the site whose channels enter `stage`."""
    plan = spec.stages[stage]
    tied = spec.width_in(stage) == plan.channels and plan.shortcut == "auto"
    return f"{stage}.stream" if tied else f"{stage}.in"


def way_out(spec: DecoderSpec, stage: str) -> str:
    """The name of the site whose channels leave `stage`: the next stage's way in, or its own stream at the end."""
    names = list(spec.stages)
    position = names.index(stage)
    return f"{stage}.stream" if position + 1 == len(names) else way_in(spec, names[position + 1])


def inner(stage: str, block: int) -> str:
    """The name of the site between the two convolutions of a block."""
    return f"{stage}.blocks.{block}.inner"


def sites(spec: DecoderSpec) -> dict[str, Site]:
    """All sites of a decoder, by name, in execution order."""
    found: list[Site] = []
    previous = "entry"
    for stage, plan in spec.stages.items():
        blocks = tuple(f"stages.{stage}.blocks.{b}" for b in range(plan.num_blocks))
        entering: tuple[str, ...] = (previous,)
        if way_in(spec, stage) == f"{stage}.in":
            found.append(Site(f"{stage}.in", stage, spec.width_in(stage), entering))
            entering = ()
        found.append(Site(f"{stage}.stream", stage, plan.channels, entering + blocks))
        found += [Site(inner(stage, b), stage, plan.channels, (f"{path}.conv1",)) for b, path in enumerate(blocks)]
        previous = f"stages.{stage}"
    return {site.name: site for site in found}
