"""Options that several commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path


def comma_list(text: str) -> list[str]:
    """`A,B` as a list; spaces around names and empty names are dropped."""
    return [name.strip() for name in text.split(",") if name.strip()]


def add_arms(parser: argparse.ArgumentParser, where: str) -> None:
    """`--arm NAME`, several times."""
    parser.add_argument("--arm", action="append", default=[], metavar="NAME",
                        help=f"an arm; may be given several times (default: every folder in {where})")  # fmt: skip


def arms_in(folder: Path, asked: Sequence[str], holding: str = "") -> tuple[str, ...]:
    """The arms in `folder`: those asked for, else every folder that has `holding` in it.

    `ValueError` for a missing folder, an arm that is not there, none at all, and a name that is no safe folder name.
    """
    if not folder.is_dir():
        raise ValueError(f"folder {folder} does not exist")
    found = sorted(path.name for path in folder.iterdir() if (path / holding).is_dir() and path.name[0] != ".")
    absent = [arm for arm in asked if arm not in found]
    if absent:
        raise ValueError(f"{folder} has no arm {absent[0]!r}; found: {', '.join(found) or 'none'}")
    arms = tuple(dict.fromkeys(asked)) or tuple(found)
    if not arms:
        raise ValueError(f"{folder} has no arm: one folder per decoder is expected there")
    for arm in arms:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", arm):
            raise ValueError(f"arm {arm!r}: a name is at most 64 letters, digits, '.', '_' and '-'")
    return arms
