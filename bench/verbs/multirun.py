"""Do many runs: a study from ablations/, or every combination of the lists given.

  python -m bench multirun                                 the quickstart study
  python -m bench multirun ablations=NAME                  the study ablations/NAME.yaml
  python -m bench multirun ablations=NAME seed=0,1,2       each of its points with three seeds
  python -m bench multirun ablations=NAME study.only=[A,B] two of its points
  python -m bench multirun plan=paper,dense prune.ratio=0.5,0.25
  python -m bench multirun ablations=NAME launcher=joblib  several runs at once; slurm and ray: on other machines
Runs that are stored already are not repeated, so the same command resumes what was interrupted.
"""

from __future__ import annotations

import sys

from bench.arguments import parse_overrides
from bench.launch import launch
from bench.study import study_points


def main(argv: list[str]) -> int:
    given = parse_overrides("multirun", __doc__, argv)
    study, points = study_points(given.overrides)
    if study.question and not given.show:
        print(f"{study.name}: {study.question}", file=sys.stderr)
    return launch("multirun", points, argv, given.show)
