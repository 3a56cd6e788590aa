"""Check results folders: every file is read, nothing is changed.

  python -m bench fsck [DIR ...]                           results/local by default
A run whose files are torn, foreign, missing or of a newer version is a problem, and the exit code is 1; readers leave
such runs out. What killed processes left is told as well; it does no harm.
"""

from __future__ import annotations

from pathlib import Path

from bench.arguments import parser_of
from bench.records.check import check


def main(argv: list[str]) -> int:
    parser = parser_of("fsck", __doc__)
    parser.add_argument("folders", nargs="*", metavar="DIR", help="results folders (default: results/local)")
    found_bad = False
    for folder in parser.parse_args(argv).folders or ["results/local"]:
        found = check(Path(folder))
        counts = ", ".join(f"{count} {status}" for status, count in found.statuses.items()) or "no"
        print(f"{folder}: {counts} runs, {found.rows} measurements")
        for problem in found.problems:
            print(f"  lost      {problem}")
        for leftover in found.leftovers:
            print(f"  leftover  {leftover}")
        found_bad |= bool(found.problems)
    return int(found_bad)
