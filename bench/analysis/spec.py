"""The part of a run's specification that tables and legends show, as flat columns."""

from __future__ import annotations

import json
from typing import Any

SPEC_COLUMNS = (
    "task", "teacher", "plan", "stages", "ratio", "criterion", "scaling", "weighting", "subsets", "start", "phases",
    "steps", "runtime", "dtype", "chunk", "seed", "source", "split", "timing", "timed_frames",
)  # fmt: skip

SPEC_NUMBERS = ("ratio", "steps", "chunk", "seed", "timed_frames")


def unpack_spec(spec_json: str) -> dict[str, Any]:
    """`spec_json` of a runs row as `SPEC_COLUMNS`; what it does not say is None."""
    spec = json.loads(spec_json)
    phases, stages = dig(spec, "distill", "phases"), describe_stages(dig(spec, "plan"))
    return {
        "task": _text(dig(spec, "task")),
        "teacher": _text(dig(spec, "teacher", "path")),
        "plan": _text(dig(spec, "plan_name")) or stages,
        "stages": stages,
        "ratio": _number(dig(spec, "prune", "ratio")),
        "criterion": _text(dig(spec, "prune", "criterion")),
        "scaling": _text(dig(spec, "prune", "scaling")),
        "weighting": _text(dig(spec, "prune", "weighting")),
        "subsets": _text(dig(spec, "prune", "subsets")),
        "start": _text(dig(spec, "prune", "start")),
        "phases": "+".join(map(str, phases)) or "none" if isinstance(phases, list) else None,
        "steps": _number(dig(spec, "distill", "steps")),
        "runtime": _text(dig(spec, "runtime", "name")),
        "dtype": _text(dig(spec, "runtime", "dtype")),
        "chunk": _number(dig(spec, "runtime", "chunk")),
        "seed": _number(dig(spec, "seed")),
        "source": _text(dig(spec, "data", "source")),
        "split": _text(dig(spec, "data", "evaluate")),
        "timing": _timing(spec),
        "timed_frames": _number(dig(spec, "timing", "frames")),
    }


def describe_stages(plan: Any) -> str:
    """What is done where, stages with the same edit together: `mid up0 up1 depthwise3d, up2 up3 conv2d pruned`."""
    edits: dict[str, list[str]] = {}
    for name, edit in plan.items() if isinstance(plan, dict) else ():
        operator, pruned, channels = (dig(edit, key) for key in ("operator", "prune", "channels"))
        words = [str(operator)] * bool(operator) + ["pruned"] * bool(pruned) + [f"to {channels}"] * bool(channels)
        if words:
            edits.setdefault(" ".join(words), []).append(name)
    return ", ".join(f"{' '.join(names)} {words}" for words, names in edits.items()) or "unchanged"


def _timing(spec: Any) -> str | None:
    """Geometry of the decode that was timed, frames x height x width."""
    sizes = [dig(spec, "timing", key) for key in ("frames", "height", "width")]
    return "x".join(map(str, sizes)) if all(sizes) else None


def dig(value: Any, *keys: str) -> Any:
    """`value[key]...`, or None as soon as a level is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
