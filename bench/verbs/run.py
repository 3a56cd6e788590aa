"""Do one run: compress, distil, judge, time, and store the rows.

  python -m bench run                                      the default plan, at the teacher's widths
  python -m bench run plan=dense prune.ratio=0.25          other plans: conf/plan, other keys: bench/schema.py
  python -m bench run data=folder data.root=/path/to/videos       judged on your own videos
  python -m bench run teacher=wan21 device=cuda            the real Wan 2.1 teacher
A run that is stored already is not repeated; again=true repeats it.
"""

from __future__ import annotations

from bench.arguments import parse_overrides
from bench.launch import launch
from bench.study import Point, named_study, split_axes


def main(argv: list[str]) -> int:
    given = parse_overrides("run", __doc__, argv)
    if named_study(given.overrides) is not None:
        raise ValueError("a study is many runs; use: python -m bench multirun ablations=NAME")
    fixed, axes = split_axes(given.overrides)
    if axes:
        key, values = next(iter(axes.items()))
        raise ValueError(f"{key} has {len(values)} values; use: python -m bench multirun {key}={','.join(values)}")
    return launch("run", [Point("", "", ("study.name=single", *fixed))], argv, given.show)
