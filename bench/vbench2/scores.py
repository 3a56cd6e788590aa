"""What VBench wrote, believed when it is whole: `{"<Dimension>": [score, [{"video_path", "video_results"}, ...]]}`.

The score is computed again from the values, by VBench's own rules, and must agree.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INVALID = -1.0  # VBench's mark for a video that cannot be judged
DEPTH = 2  # folders below the given one in which a result is looked for
TOLERANCE = 1e-6
ZERO_ABOVE = 0.9  # share of invalid videos above which Motion_Order_Understanding is 0


@dataclass(frozen=True)
class Score:
    """One dimension of one arm. value: None where no video was valid. values: {video name: value, None if invalid}."""

    dimension: str
    value: float | None
    values: dict[str, float | None]

    @property
    def invalid(self) -> int:
        """Videos without a value."""
        return sum(value is None for value in self.values.values())


def read_score(folder: Path, dimension: str, expected: Collection[str], may_be_invalid: bool) -> Score | None:
    """The result of `dimension` in `folder` or up to two folders below; None where there is none.

    expected: names of the videos that must have a value, and no others. `ValueError`, one line with the file's name,
    for a damaged result, a number that is none or lies outside [0, 1], a score that is not the mean of its values, and
    two results that differ.
    """
    found = [(path, _read(path, document[dimension], dimension, may_be_invalid))
             for path, document in _results(folder) if dimension in document]  # fmt: skip
    if not found:
        return None
    path, score = found[0]
    for other, another in found[1:]:
        if another != score:
            raise ValueError(f"two results for {dimension} differ: {path} and {other}; remove the wrong one")
    missing, extra = set(expected) - score.values.keys(), score.values.keys() - set(expected)
    if missing or extra:
        what = (
            f"{len(missing)} of {len(expected)} videos have no value" if missing else "it has values for other videos"
        )
        raise ValueError(f"{path}: not the plan's result: {what}, such as {sorted(missing or extra)[0]!r}")
    return score


def mean(dimension: str, values: Collection[float | None]) -> float | None:
    """VBench's score of these values: the mean of the valid ones, None without any.

    Motion_Order_Understanding is 0 when more than nine tenths are invalid.
    """
    valid = [value for value in values if value is not None]
    if dimension == "Motion_Order_Understanding" and len(values) - len(valid) > ZERO_ABOVE * len(values):
        return 0.0
    return sum(valid) / len(valid) if valid else None


def _results(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every result file. `*_full_info.json` is a list of prompts and no result."""
    patterns = ["/".join(["*"] * depth + ["*.json"]) for depth in range(DEPTH + 1)]
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ValueError(f"{path} is not JSON, or not all of it") from None
        if isinstance(document, dict):
            yield path, document


def _read(path: Path, content: Any, dimension: str, may_be_invalid: bool) -> Score:
    if not isinstance(content, list) or len(content) != 2 or not isinstance(content[1], list):
        raise ValueError(f"{path}: {dimension} is not [score, [values]]")
    values: dict[str, float | None] = {}
    for item in content[1]:
        if not isinstance(item, dict) or not isinstance(item.get("video_path"), str) or "video_results" not in item:
            raise ValueError(f"{path}: {dimension} has an item without video_path and video_results")
        name = item["video_path"].replace("\\", "/").rsplit("/", 1)[-1]
        if name in values:
            raise ValueError(f"{path}: {dimension} has two values for {name!r}")
        value = _number(path, f"{dimension}, {name!r}", item["video_results"], INVALID if may_be_invalid else 0.0)
        values[name] = None if value == INVALID else value
    if not values:
        raise ValueError(f"{path}: {dimension} has no values")
    told, score = _number(path, f"{dimension}, its score", content[0], 0.0), mean(dimension, values.values())
    if score is not None and abs(told - score) > TOLERANCE:
        raise ValueError(f"{path}: {dimension} is said to be {told:.6f}, but the mean of its values is {score:.6f}")
    return Score(dimension, score, values)


def _number(path: Path, what: str, value: Any, least: float) -> float:
    """A finite number in [0, 1], or the mark for invalid where `least` is -1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{path}: {what} is {value!r}, not a number")
    inside = -TOLERANCE <= value <= 1 + TOLERANCE
    if not inside and not value == least == INVALID:
        raise ValueError(f"{path}: {what} is {value!r}, outside [0, 1]")
    return float(value)
