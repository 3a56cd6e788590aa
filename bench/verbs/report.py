"""Print the tables of stored results; nothing is run.

  python -m bench report                                   everything under results/local/
  python -m bench report --study quickstart                one study
  python -m bench report --results a --results b --json    several folders, for programs
Only runs on one kind of machine, judged in one way, share a table.
"""

from __future__ import annotations

import sys

from bench import analysis
from bench.arguments import parser_of


def main(argv: list[str]) -> int:
    parser = parser_of("report", __doc__)
    parser.add_argument(
        "--results", action="append", metavar="DIR", help="a results folder; may be given several times"
    )
    parser.add_argument("--study", metavar="NAME", help="show one study only")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    given = parser.parse_args(argv)
    results = analysis.load(given.results or ["results/local"])
    summary = analysis.summarise(results)
    for problem in results.problems:
        print(f"left out: {problem}", file=sys.stderr)
    print((analysis.table.to_json if given.json else analysis.table.render_text)(summary, given.study))
    runs = results.runs
    shown = results.of(runs["run_id"] if given.study is None else runs["run_id"][runs["study"] == given.study])
    for part in (analysis.redundancy, analysis.stages, analysis.arms, analysis.end_to_end, analysis.vbench2):
        if not given.json and (text := part.render_text(shown)):
            print(f"\n{text}")
    return 0
