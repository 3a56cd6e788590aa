"""`python -m bench VERB ...`: find the verb, run it, and turn what a user got wrong into one line.

Exit codes: 0 done, 1 something failed on the way (recorded), 2 nothing was started because the request was wrong,
130 interrupted.
"""

from __future__ import annotations

import ast
import errno
import importlib
import os
import signal
import sys
from pathlib import Path

from bench.words import did_you_mean

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)  # said in a line, with no traceback
VERBS = {path.stem: path for path in sorted((Path(__file__).parent / "verbs").glob("[!_]*.py"))}


def main(argv: list[str]) -> int:
    """Run one verb and return the exit code."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if argv else 2
    verb, *rest = argv
    if verb not in VERBS:
        print(f"error: unknown verb {verb!r}; {did_you_mean(verb, VERBS)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return int(importlib.import_module(f"bench.verbs.{verb}").main(rest))
    except ValueError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; finished runs are stored, and the same command goes on from there", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left: nothing more to say
        return 1
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        what = error.filename or "a file"
        print(f"error: cannot write {what}: {error.strerror}; finished runs are stored", file=sys.stderr)
        return 2


def overview() -> str:
    """All verbs with the first line of their help."""
    lines = ["usage: python -m bench VERB [overrides] [options]", ""]
    for verb, path in VERBS.items():
        summary = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
        lines.append(f"  {verb:<10} {summary}")
    return "\n".join([*lines, "", "python -m bench VERB --help says more."])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
