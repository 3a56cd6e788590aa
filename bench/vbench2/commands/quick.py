"""VBench 1.0's temporal flickering on the videos of every arm, by the package `vbench`: no weights, a CPU is enough.

  python -m bench vbench2 quick --videos VIDEOS --control teacher --python vbench-env/bin/python
VIDEOS holds a folder of .mp4 files per arm; videos of the same name are compared. 1 is a still picture: a lower number
is more change from frame to frame, which is motion as well as flicker, so only the difference of arms says something.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path

import pandas as pd

from bench.analysis.bootstrap import Interval, mean_of_means
from bench.analysis.vbench2 import differences
from bench.arguments import parser_of
from bench.vbench2 import flicker
from bench.vbench2.commands.arguments import add_arms, arms_in


def main(argv: list[str]) -> int:
    parser = parser_of("vbench2 quick", __doc__)
    parser.add_argument("--videos", required=True, metavar="DIR", help="holds a folder of videos per arm")
    parser.add_argument("--control", metavar="ARM", help="the arm that the others are compared with")
    parser.add_argument("--python", default=sys.executable, metavar="FILE",
                        help="an interpreter with the package vbench (default: this one)")  # fmt: skip
    parser.add_argument("--timeout-s", type=float, default=3600, metavar="S", help="per arm (default: an hour)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    add_arms(parser, "VIDEOS")
    given = parser.parse_args(argv)
    folder = Path(given.videos).expanduser()
    arms = arms_in(folder, given.arm)
    if given.control is not None and given.control not in arms:
        raise ValueError(f"no arm {given.control!r} in {folder}; arms: {', '.join(arms)}")
    for arm in arms:
        flicker.videos_in(folder / arm)
    python = shutil.which(str(Path(given.python).expanduser()))
    if python is None:
        raise ValueError(f"--python {given.python} is no program; {flicker.GET}")
    python = str(Path(python).absolute())
    flicker.check_python(python)
    scores = {arm: flicker.score(python, folder / arm, given.timeout_s) for arm in arms}
    rows = pd.DataFrame(
        [
            (arm, flicker.DIMENSION, name, value)
            for arm, score in scores.items()
            for name, value in score.values.items()
        ],
        columns=["arm", "metric", "clip", "value"],
    )
    found = [_row(rows, arm, given.control) for arm in arms]
    print(json.dumps(found, indent=1, allow_nan=False) if given.json else _table(found, given.control))
    return 0


def _row(rows: pd.DataFrame, arm: str, control: str | None) -> dict:
    """One arm: mean over its videos, and its difference to the control over prompts."""
    values = rows[rows["arm"] == arm]["value"]
    row = {"arm": arm, "videos": len(values), flicker.DIMENSION: float(values.mean())}
    if control is None or arm == control:
        return row
    gaps, left_out = differences(rows, flicker.DIMENSION, control, arm)
    delta: Interval = mean_of_means(gaps.to_numpy(dtype=float)[:, None])
    numbers = {"delta": delta.value, "low": delta.low, "high": delta.high}
    known = {name: None if math.isnan(value) else value for name, value in numbers.items()}
    return {**row, **known, "against": control, "prompts": len(gaps), "left_out": left_out}


def _table(found: list[dict], control: str | None) -> str:
    lines = [
        ["arm", "videos", flicker.DIMENSION, *([f"minus {control} [95 %]", "prompts", "left out"] if control else [])]
    ]
    for row in found:
        line = [row["arm"], str(row["videos"]), f"{row[flicker.DIMENSION]:.5f}"]
        if row.get("delta") is not None:
            bounds = "" if row["low"] is None else f" [{row['low']:+.5f}, {row['high']:+.5f}]"
            line += [f"{row['delta']:+.5f}{bounds}", str(row["prompts"]), str(row["left_out"])]
        lines.append(line + ["-" if "against" in row else ""] * (len(lines[0]) - len(line)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) if i else cell.ljust(width)
                  for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )  # fmt: skip
