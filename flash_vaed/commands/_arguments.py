"""What the commands' arguments have in common: one-line errors, devices, number formats."""

from __future__ import annotations

import argparse
from fractions import Fraction

import torch

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def parser_of(command: str, help_text: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the command's own text."""
    return _OneLineParser(
        prog=f"python -m flash_vaed {command}",
        description=help_text,
        epilog="A file name that begins with a dash needs ./ in front of it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


class _OneLineParser(argparse.ArgumentParser):
    """Says in one line what was wrong; argparse would print the usage too."""

    def error(self, message: str):
        raise ValueError(f"{message}; see {self.prog} --help")


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def frame_rate(text: str) -> Fraction:
    """Frames per second: 16, 29.97 or 30000/1001."""
    value = Fraction(text)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1000")
    return value


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device`, a GPU where there is one."""
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", type=device, default=default, help="cpu, cuda, cuda:1 (default: a GPU if present)")


def device(text: str) -> torch.device:
    """A device that is there."""
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:
        raise argparse.ArgumentTypeError(f"no device {text!r}: {str(error).splitlines()[0]}") from error
    return torch.device(text)


def add_dtype(parser: argparse.ArgumentParser, what: str) -> None:
    """`--dtype`, float32 unless told otherwise."""
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help=f"{what} (default: float32)")
