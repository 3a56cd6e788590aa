"""From the stored results of `vbench2 run`: dimensions, categories, the total, and paired differences to a control.

  python -m bench vbench2 aggregate --plan plan.json --out OUT --control teacher
  python -m bench vbench2 aggregate --plan plan.json --out OUT --control teacher --results results/local --json
There is a total only for 18 of 18 dimensions on the official list. With --results the values of single videos are
stored too, and `report` shows them. Exit code 1 when a result had to be left out.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from pathlib import Path

import pandas as pd

from bench.analysis import vbench2
from bench.arguments import parser_of
from bench.vbench2.commands.arguments import add_arms, arms_in
from bench.vbench2.dimensions import CATEGORIES
from bench.vbench2.plan import Plan, read_plan
from bench.vbench2.scores import Score
from bench.vbench2.stored import frame, rows_of, store
from bench.vbench2.sweep import folder_of_videos, stored_score


def main(argv: list[str]) -> int:
    parser = parser_of("vbench2 aggregate", __doc__)
    parser.add_argument("--plan", required=True, metavar="FILE", help="of `vbench2 plan`")
    parser.add_argument("--out", required=True, metavar="DIR", help="of `vbench2 run`")
    parser.add_argument("--control", metavar="ARM", help="the arm that the others are compared with")
    parser.add_argument("--results", metavar="DIR", help="store the values in this results folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    add_arms(parser, "OUT with results")
    given = parser.parse_args(argv)
    plan, out = read_plan(given.plan), Path(given.out).expanduser()
    arms = arms_in(out, given.arm, "results")
    if given.control is not None and given.control not in arms:
        raise ValueError(f"no arm {given.control!r} in {out}; arms: {', '.join(arms)}")
    scores, problems = _read(plan, out, arms)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    if not scores:
        raise ValueError(f"{out} has no result of the plan's {len(plan.dimensions)} dimensions")
    rows = frame([row for arm, score in scores for row in rows_of("unstored", arm, score, plan.commit)])
    control = given.control if given.control in set(rows["arm"]) else None
    table = vbench2.compare(rows, CATEGORIES, control, plan.complete)
    print(_json(plan, table, problems) if given.json else vbench2.text(table, plan.complete))
    if given.results:
        command = shlex.join(["python", "-m", "bench", "vbench2", "aggregate", *argv])
        run_id = store(given.results, plan, arms, scores, control, command, problems, folder_of_videos(out, arms))
        print(f"stored as run {run_id} in {given.results}", file=sys.stderr)
    return 1 if problems else 0


def _read(plan: Plan, out: Path, arms: tuple[str, ...]) -> tuple[list[tuple[str, Score]], list[str]]:
    """(arm, score) of every sound result, and one line for every one that is not."""
    scores, problems = [], []
    for arm in arms:
        for dimension in plan.dimensions:
            try:
                score = stored_score(out, plan, arm, dimension)
            except ValueError as error:
                problems.append(f"{arm}, {dimension}: {error}")
                continue
            scores += [(arm, score)] if score is not None else []
    return scores, problems


def _json(plan: Plan, table: pd.DataFrame, problems: list[str]) -> str:
    rows = [
        {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]
    document = {"plan": plan.digest(), "commit": plan.commit, "complete": plan.complete, "rows": rows}
    return json.dumps({**document, "problems": problems}, indent=1, allow_nan=False)
