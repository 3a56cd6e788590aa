"""What the studies of ablations/ cost: their points, and the hours that stored runs of them let expect.

  python -m bench cost                                     every study, by the runs kept in results/
  python -m bench cost --study NAME --results DIR          one study, by the runs of another folder
An estimate: the mean time of a study's stored runs, on the kind of machine that did most of them, times its points, one
run at a time. Work that its runs share, such as calibration, is in the times as often as it was really done.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench import analysis
from bench.arguments import parser_of
from bench.config import options
from bench.study import study_points


@dataclass(frozen=True)
class Cost:
    """One study. stored: its finished runs on `machine`, the kind of machine that has most; seconds: their mean."""

    study: str
    points: int
    stored: int = 0
    seconds: float = 0.0
    machine: str = ""

    @property
    def hours(self) -> float:
        return self.points * self.seconds / 3600


def main(argv: list[str]) -> int:
    parser = parser_of("cost", __doc__)
    parser.add_argument(
        "--results", action="append", metavar="DIR", help="a results folder or address (default: results)"
    )
    parser.add_argument("--study", action="append", metavar="NAME", help="one study instead of all")
    given = parser.parse_args(argv)
    runs = analysis.load(given.results or ["results"]).runs
    print(render([cost_of(name, runs) for name in given.study or options("ablations")]))
    return 0


def cost_of(study: str, runs: pd.DataFrame) -> Cost:
    """The cost of one study by the rows of the runs table; `ValueError` for an unknown study."""
    points = len(study_points([f"ablations={study}"])[1])
    finished = runs[(runs["study"] == study) & (runs["status"] == "ok")]
    if finished.empty:
        return Cost(study, points)
    machine = str(finished["device_name"].value_counts().idxmax())
    there = finished[finished["device_name"] == machine]
    return Cost(study, points, len(there), float(there["wall_s"].mean()), machine)


def render(costs: list[Cost]) -> str:
    """The table, and the sums per kind of machine."""
    width = max(len(cost.study) for cost in costs)
    lines = [f"{'study':<{width}}  points  stored  s/run   hours  machine"]
    for cost in costs:
        known = f"{cost.seconds:5.0f}  {cost.hours:6.2f}  {cost.machine}" if cost.stored else "    -       -"
        lines.append(f"{cost.study:<{width}}  {cost.points:6d}  {cost.stored:6d}  {known}")
    lines.append("")
    for machine in sorted({cost.machine for cost in costs if cost.stored}):
        these = [cost for cost in costs if cost.machine == machine]
        hours, points = sum(cost.hours for cost in these), sum(cost.points for cost in these)
        lines.append(f"about {hours:.1f} hours for {points} points on {machine}, one at a time")
    unknown = [cost for cost in costs if not cost.stored]
    if unknown:
        lines.append(f"no stored run tells of {sum(cost.points for cost in unknown)} points of {len(unknown)} studies")
    return "\n".join(lines)
