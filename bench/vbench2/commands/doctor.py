"""Say what VBench-2.0 lacks here, dimension by dimension, and how to get it; changes nothing.

  python -m bench vbench2 doctor --root VBench/VBench-2.0 --python /path/to/vbench/python
Weights are looked for in VBENCH2_CACHE_DIR, else ~/.cache/vbench2. Exit code 0 when all 18 dimensions can run.
"""

from __future__ import annotations

from bench.arguments import parser_of
from bench.vbench2.dimensions import DIMENSIONS
from bench.vbench2.findings import examine


def main(argv: list[str]) -> int:
    parser = parser_of("vbench2 doctor", __doc__)
    parser.add_argument("--root", metavar="DIR", help="the checkout's folder VBench-2.0")
    parser.add_argument("--python", metavar="FILE", help="the interpreter that VBench is installed for")
    given = parser.parse_args(argv)
    missing = 0
    for finding in examine(given.root, given.python):
        print(f"{finding.state:<8} {finding.subject:<30} {finding.text}", flush=True)
        missing += finding.state == "missing"
    print("\nwhat a dimension needs of the machine; * another decoder can plausibly move it")
    for key, row in DIMENSIONS.items():
        print(f"{'*' if row.sensitive else ' '} {key:<29} {row.memory}")
    print(f"\nnot ready: {missing} things are missing" if missing else "\nready: python -m bench vbench2 plan")
    return 1 if missing else 0
