"""Generate a plan's videos, every arm from the same latents; the same command resumes what was interrupted.

  python -m bench vbench2 generate --plan plan.json host=self_forcing self_forcing.root=CHECKOUT \\
      arms.student.decoder=FOLDER paths.videos=VIDEOS
It is `python -m bench run task=generate arms=hosted prompts.file=PLAN`, and takes whatever that takes. It ends with the
folder to give to `vbench2 run --videos`.
"""

from __future__ import annotations

import shlex
import sys

from bench.arguments import parser_of
from bench.launch import launch
from bench.study import Point
from bench.vbench2.plan import read_plan


def main(argv: list[str]) -> int:
    parser = parser_of("vbench2 generate", __doc__)
    parser.add_argument("--plan", required=True, metavar="FILE", help="as `vbench2 plan` wrote it")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="an override of conf/config.yaml")
    given = parser.parse_intermixed_args(argv)
    plan = read_plan(given.plan)
    print(f"{len(plan.entries)} videos of {plan.counts()['prompts']} prompts for every arm", file=sys.stderr)
    own = ["task=generate", f"prompts.file={shlex.quote(given.plan)}", "prompts.texts=[]"]
    arms = [] if any(override.startswith("arms=") for override in given.overrides) else ["arms=hosted"]
    overrides = [*own, *arms, *given.overrides]
    return launch("run", [Point("vbench2", "", tuple(overrides))], overrides)
