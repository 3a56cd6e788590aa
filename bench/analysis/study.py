"""What a study asks: its question, control and axes, as its file says, and what a run's label says of them.

Results name their study only; question and control stand in `ablations/<study>.yaml`, read here as plain YAML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ABLATIONS = Path(__file__).parents[2] / "ablations"
SEED = "seed"


@dataclass(frozen=True)
class Study:
    """`question` and `control` are None where no file says them; `axes` maps an overridden key to its values."""

    name: str
    question: str | None = None
    control: str | None = None
    axes: dict[str, str] = field(default_factory=dict)


def read_study(name: str, folder: Path = ABLATIONS) -> Study:
    """The study's own file; a missing, foreign or broken one gives a study without question and control."""
    if not re.fullmatch(r"\w{1,100}", name):
        return Study(name)
    try:
        document = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return Study(name)
    said = document.get("study") if isinstance(document, dict) else None
    said = said if isinstance(said, dict) else {}
    axes = said.get("axes")
    axes = {str(key): str(values) for key, values in axes.items()} if isinstance(axes, dict) else {}
    return Study(name, _text(said.get("question")), _text(said.get("control")), axes)


def split_label(label: str) -> tuple[str, dict[str, str]]:
    """A point's label as its variant and its corner of the grid: `full prune.ratio=0.5 seed=1` has two axes."""
    corner, words = {}, []
    for word in label.split(" "):
        key, equals, value = word.partition("=")
        if equals and re.fullmatch(r"[\w.]+", key):
            corner[key] = value
        else:
            words.append(word)
    return " ".join(words) or "run", corner


def corner_text(corner: dict[str, str]) -> str:
    """The corner without the seed, `prune.ratio=0.5`; empty where there is none."""
    return " ".join(f"{key}={value}" for key, value in corner.items() if key != SEED)


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) and value != "" else None
