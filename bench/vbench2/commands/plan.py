"""Write the list of videos that VBench-2.0 needs: names, prompts, a seed for each.

  python -m bench vbench2 plan --root VBench/VBench-2.0 --out plan.json
  python -m bench vbench2 plan --root VBench/VBench-2.0 --out small.json --per-dimension 3
  python -m bench vbench2 plan ... --seconds-per-video 95 --mb-per-video 4       what it will cost, for one arm
Videos belong into VIDEOS/<arm>/<name>, every arm with the same names and seeds. A subset is marked as one: its scores
cannot be compared with a leaderboard's.
"""

from __future__ import annotations

import sys

from bench.arguments import parser_of
from bench.vbench2.checkout import PROMPTS, read_checkout
from bench.vbench2.commands.arguments import comma_list
from bench.vbench2.plan import write_plan
from bench.vbench2.planning import budget, make_plan


def main(argv: list[str]) -> int:
    parser = parser_of("vbench2 plan", __doc__)
    parser.add_argument("--root", required=True, metavar="DIR", help="the checkout's folder VBench-2.0")
    parser.add_argument("--out", required=True, metavar="FILE", help="the plan, a JSON file")
    parser.add_argument(
        "--prompts", default="wanx", choices=PROMPTS, help="texts to generate from (default: wanx, as for Wan 2.1)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the videos' seeds are made from it")
    parser.add_argument(
        "--per-dimension", type=int, metavar="N", help="a subset: the first N prompts of each dimension"
    )
    parser.add_argument("--dimensions", default="", metavar="A,B", help="a subset: these dimensions")
    parser.add_argument("--seconds-per-video", type=float, metavar="S", help="for the hours in the table")
    parser.add_argument("--mb-per-video", type=float, metavar="MB", help="for the disk space in the table")
    given = parser.parse_args(argv)
    checkout = read_checkout(given.root)
    for warning in checkout.warnings:
        print(f"note: {warning}", file=sys.stderr)
    plan = make_plan(checkout, given.prompts, given.seed, given.per_dimension, comma_list(given.dimensions))
    write_plan(plan, given.out)
    counts = plan.counts()
    print(budget(plan, given.mb_per_video, given.seconds_per_video))
    print(f"\n{given.out}: {counts['prompts']} prompts, {counts['videos']} videos, prompts {plan.prompts}")
    if not plan.complete:
        print("a subset of the official list: its scores are not leaderboard scores, and it has no total")
    return 0
