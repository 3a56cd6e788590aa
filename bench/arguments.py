"""The command line that `run` and `multirun` share: Hydra overrides, and `--show`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Given:
    """What was typed after the verb."""

    overrides: list[str]
    show: bool


def parse_overrides(verb: str, help_text: str | None, argv: Sequence[str]) -> Given:
    """Overrides and options of `verb`; an unknown option ends the program with one line and code 2."""
    parser = parser_of(verb, help_text)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="an override of conf/config.yaml")
    parser.add_argument("--show", action="store_true", help="print what would be run, and run nothing")
    options = parser.parse_intermixed_args(argv)
    return Given(options.overrides, options.show)


def parser_of(verb: str, help_text: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the verb's own text."""
    return _OneLineParser(
        prog=f"python -m bench {verb}",
        description=help_text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


class _OneLineParser(argparse.ArgumentParser):
    """Says in one line what was wrong; argparse would print the usage too."""

    def error(self, message: str):
        raise ValueError(f"{message}; see {self.prog} --help")
