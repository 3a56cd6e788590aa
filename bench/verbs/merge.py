"""Copy stored runs from other results folders into one, for example those of another machine.

  python -m bench merge FOLDER [FOLDER ...] [--results DIR] [--packed]
Folders may be addresses, such as s3://bucket/results.
Merging twice changes nothing. Where both hold a run, a finished one beats a failed one, then the later one wins.
With --packed all runs are written into one pair of files there, which thousands of runs are read from much faster.
"""

from __future__ import annotations

import sys

from bench import records
from bench.arguments import parser_of


def main(argv: list[str]) -> int:
    parser = parser_of("merge", __doc__)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="a results folder to copy from")
    parser.add_argument(
        "--results", default="results/local", metavar="DIR", help="the folder to copy into (default: results/local)"
    )
    parser.add_argument("--packed", action="store_true", help="write one pair of files instead of one per run")
    given = parser.parse_args(argv)
    if given.packed:
        count, problems = records.pack(given.folders, given.results)
        for problem in problems:
            print(f"left out: {problem}", file=sys.stderr)
        print(f"{count} runs packed into {given.results}")
        return 1 if problems else 0
    report = records.merge(given.folders, given.results)
    for problem in report.problems:
        print(f"left out: {problem}", file=sys.stderr)
    print(f"{len(report.copied)} runs copied into {given.results}, {len(report.kept)} already there")
    return 1 if report.problems else 0
