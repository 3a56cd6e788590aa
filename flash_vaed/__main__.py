"""`python -m flash_vaed COMMAND ...`: find the command, run it, and turn what a user got wrong into one line.

Exit codes: 0 done, 2 the request or a file it names was wrong, 130 interrupted. Nothing half-written is left behind.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import os
import signal
import sys
from pathlib import Path

COMMANDS = {path.stem: path for path in sorted((Path(__file__).parent / "commands").glob("[!_]*.py"))}


def main(argv: list[str]) -> int:
    """Run one command and return the exit code."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if argv else 2
    command, *rest = [f"./{a}" if a.startswith("-") and "." in a and Path(a).is_file() else a for a in argv]
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(COMMANDS)}"
        return _refuse(f"unknown command {command!r}; {hint}")
    try:
        return int(importlib.import_module(f"flash_vaed.commands.{command}").main(rest))
    except ValueError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left: nothing more to say
        return 1
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return 130


def overview() -> str:
    """All commands with the first line of their help."""
    lines = ["usage: python -m flash_vaed COMMAND [options]", ""]
    for command, path in COMMANDS.items():
        summary = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]
        lines.append(f"  {command:<12} {summary}")
    return "\n".join([*lines, "", "python -m flash_vaed COMMAND --help says more."])


def _refuse(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # temporary files are taken away
    sys.exit(main(sys.argv[1:]))
