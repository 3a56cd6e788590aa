"""Score decoders end to end with VBench-2.0: plan the videos, run its evaluator, read its scores.

  python -m bench vbench2 doctor --root VBench/VBench-2.0      what its evaluator lacks here, and how to get it
  python -m bench vbench2 plan --root VBench/VBench-2.0 --out plan.json
  python -m bench vbench2 generate --plan plan.json host=wan arms.student.decoder=FOLDER
  python -m bench vbench2 run --root R --plan plan.json --videos VIDEOS --out OUT --python /path/to/vbench/python
  python -m bench vbench2 aggregate --plan plan.json --out OUT --control teacher
  python -m bench vbench2 quick --videos VIDEOS                VBench 1.0's temporal flickering, which needs no weights
Each command has its own --help. docs/vbench2.md says what it takes.
"""

from __future__ import annotations

import importlib

from bench.arguments import parser_of
from bench.words import did_you_mean

COMMANDS = {
    name: f"bench.vbench2.commands.{name}" for name in ("doctor", "plan", "generate", "run", "aggregate", "quick")
}


def main(argv: list[str]) -> int:
    if argv and argv[0] in COMMANDS:
        return int(importlib.import_module(COMMANDS[argv[0]]).main(argv[1:]))
    parser = parser_of("vbench2", __doc__)
    parser.add_argument("command", metavar="COMMAND", help=", ".join(COMMANDS))
    known, _ = parser.parse_known_args(argv)
    raise ValueError(f"unknown command {known.command!r}; {did_you_mean(known.command, COMMANDS)}")
