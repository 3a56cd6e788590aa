"""Draw figures from stored results into SVG files; nothing is run.

  python -m bench figures                                  the README's picture, from results/ into docs/
  python -m bench figures --results DIR --out DIR --study NAME --x speedup --y psnr_teacher
One file per study, kind of machine and protocol: only such runs share a picture. It shows speed against quality; a run
of the redundancy task gets a picture of its own with the curves of every site, a run of the stages task two: where the
time goes, and the roofline. Comparisons of arms and VBench's scores are tables: python -m bench report.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from bench import analysis
from bench.analysis.points import pareto_points
from bench.analysis.svg import pareto_svg, redundancy_svg, roofline_svg, stages_svg
from bench.arguments import parser_of

GROUP = ["study", "device_id", "protocol_id"]


def main(argv: list[str]) -> int:
    parser = parser_of("figures", __doc__)
    parser.add_argument(
        "--results", action="append", metavar="DIR", help="a results folder; may be given several times"
    )
    parser.add_argument("--out", default="docs", metavar="DIR", help="where the SVG files go (default: docs)")
    parser.add_argument("--study", metavar="NAME", help="draw one study only")
    parser.add_argument("--x", default="speedup", metavar="COLUMN", help="cost axis (default: speedup)")
    parser.add_argument("--y", default="psnr_source", metavar="COLUMN", help="quality axis (default: psnr_source)")
    given = parser.parse_args(argv)
    results = analysis.load(given.results or ["results"])
    for problem in results.problems:
        print(f"left out: {problem}", file=sys.stderr)
    summary = analysis.summarise(results)
    summary = summary[(summary.status == "ok") & ((summary.study == given.study) if given.study else True)]
    if summary.empty:
        raise ValueError("no finished run to draw; run a study first: python -m bench multirun")
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    seen: Counter[str] = Counter()
    for study, picture in _pictures(results, summary, given.x, given.y):
        name = re.sub(r"\W", "_", study) or "runs"  # a stored name never leaves the folder
        seen[name] += 1
        path = out / (f"{name}.svg" if seen[name] == 1 else f"{name}-{seen[name]}.svg")
        path.write_text(picture)
        print(path)
    return 0


def _pictures(results: analysis.Results, summary: pd.DataFrame, x: str, y: str) -> Iterator[tuple[str, str]]:
    """Study and SVG text of every picture."""
    with_curves = set(analysis.redundancy.curves(results)["run_id"])
    with_stages = set(analysis.stages.run_ids(results))
    with_tables = analysis.arms.run_ids(results) | analysis.vbench2.run_ids(results)
    for (study, _, _), group in summary.groupby(GROUP):
        for run_id in group["run_id"]:
            if run_id in with_curves:
                yield study, redundancy_svg(results.of([run_id]))
            if run_id in with_stages:
                yield study, stages_svg(results.of([run_id]))
                yield f"{study}_bounds", roofline_svg(results.of([run_id]))
        others = group[~group["run_id"].isin(with_curves | with_stages | with_tables)]
        columns = analysis.columns_of(results)
        if len(others) and pareto_points(others, x, y, columns).rows.empty:
            print(f"left out: no run of study {study!r} has both {x} and {y}", file=sys.stderr)
        elif len(others):
            yield study, pareto_svg(others, x, y, columns)
