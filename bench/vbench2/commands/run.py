"""Run VBench-2.0's evaluator on the videos of every arm, one process per dimension, in its own interpreter.

  python -m bench vbench2 run --root VBench/VBench-2.0 --plan plan.json --videos VIDEOS --out OUT --python PYTHON
  python -m bench vbench2 run ... --arm teacher --arm student --dimension Human_Identity --dimension Camera_Motion
All videos of all arms are checked before the first process starts. Finished results are kept, so the same command goes
on after an interruption and repeats what failed. Exit code 1 when something failed on the way.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from bench.arguments import parser_of
from bench.vbench2.checkout import read_checkout
from bench.vbench2.commands.arguments import add_arms, arms_in
from bench.vbench2.plan import read_plan
from bench.vbench2.planning import check_dimensions
from bench.vbench2.sweep import Done, Sweep, perform


def main(argv: list[str]) -> int:
    parser = parser_of("vbench2 run", __doc__)
    parser.add_argument("--root", required=True, metavar="DIR", help="the checkout's folder VBench-2.0")
    parser.add_argument("--plan", required=True, metavar="FILE", help="of `vbench2 plan`")
    parser.add_argument("--videos", required=True, metavar="DIR", help="holds a folder of videos per arm")
    parser.add_argument("--out", required=True, metavar="DIR", help="for results and logs")
    parser.add_argument("--python", required=True, metavar="FILE", help="the interpreter that VBench is installed for")
    parser.add_argument("--dimension", action="append", default=[], metavar="NAME",
                        help="may be given several times (default: all of the plan)")  # fmt: skip
    parser.add_argument("--timeout-s", type=float, default=43200, metavar="S", help="per dimension (default: 12 hours)")
    add_arms(parser, "VIDEOS")
    given = parser.parse_args(argv)
    plan, checkout = read_plan(given.plan), read_checkout(given.root)
    for warning in checkout.warnings:
        print(f"note: {warning}", file=sys.stderr)
    if plan.commit != checkout.commit:
        print(f"note: the plan was made from commit {plan.commit}", file=sys.stderr)
    dimensions = check_dimensions(given.dimension) or plan.dimensions
    absent = [dimension for dimension in dimensions if dimension not in plan.dimensions]
    if absent:
        raise ValueError(f"the plan has no videos for {absent[0]}; it has: {', '.join(plan.dimensions)}")
    python = shutil.which(str(Path(given.python).expanduser()))
    if python is None:
        raise ValueError(f"--python {given.python} is no program; give the interpreter that VBench is installed for")
    if not given.timeout_s > 0:
        raise ValueError(f"--timeout-s is above 0, not {given.timeout_s:g}")
    folder = Path(given.videos).expanduser()
    sweep = Sweep(
        checkout, plan, folder, Path(given.out).expanduser(), str(Path(python).absolute()), arms_in(folder, given.arm),
        dimensions, given.timeout_s,
    )  # fmt: skip
    failed = []
    for done in perform(sweep, lambda line: print(line, file=sys.stderr)):
        print(_line(done), flush=True)
        failed += [done] if done.reason else []
    if failed:
        print(f"\n{len(failed)} failed; repeat these alone with:\n  {_again(given, failed)}")
    return 1 if failed else 0


def _line(done: Done) -> str:
    if done.score is None:
        return f"failed  {done.arm}  {done.dimension}: {done.reason}"
    value = "no valid video" if done.score.value is None else f"{done.score.value:.4f}"
    invalid = f", {done.score.invalid} invalid" if done.score.invalid else ""
    how = "stored" if done.stored else f"{done.wall_s:.0f} s"
    return f"ok      {done.arm}  {done.dimension}: {value} of {len(done.score.values)} values{invalid}, {how}"


def _again(given, failed: list[Done]) -> str:
    """The command again, for these arms and dimensions; what is stored of them is skipped."""
    command = ["python", "-m", "bench", "vbench2", "run"]
    for name in ("root", "plan", "videos", "out", "python"):
        command += [f"--{name}", getattr(given, name)]
    command += ["--timeout-s", f"{given.timeout_s:g}"]
    for name in ("arm", "dimension"):
        for value in dict.fromkeys(getattr(done, name) for done in failed):
            command += [f"--{name}", value]
    return shlex.join(command)
