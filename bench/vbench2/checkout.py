"""A user's checkout of VBench-2.0: whole, of a known commit, and its prompts. Nothing of it is imported or copied."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.vbench2.dimensions import DIMENSIONS, TESTED_COMMIT

RECORDS = "vbench2/VBench2_full_info.json"
FULL_TEXT = "prompts/VBench2_full_text.txt"
EXTENDED = {  # one line per line of FULL_TEXT
    "wanx": "prompts/prompt_aug/Wanx_full_text_aug.txt",
    "vbench2": "prompts/prompt_aug/VBench2_full_text_aug.txt",
}
PROMPTS = ("short", *EXTENDED)

_NEEDED = ("evaluate.py", "vbench2/__init__.py", RECORDS, "vbench2/third_party/Instance_detector",
           "vbench2/third_party/Dense_match", FULL_TEXT)  # fmt: skip
_GET = (
    "get it with: git clone https://github.com/Vchitect/VBench && "
    f"git -C VBench checkout {TESTED_COMMIT}, then --root VBench/VBench-2.0"
)


@dataclass(frozen=True)
class Record:
    """One prompt in one dimension. raw: the record as VBench's JSON has it."""

    prompt: str
    dimension: str
    raw: Mapping[str, Any]


@dataclass(frozen=True)
class Checkout:
    """prompts: every prompt once, in the order of the full text. commit: "unknown" outside a repository."""

    root: Path
    commit: str
    records: tuple[Record, ...]
    prompts: tuple[str, ...]
    warnings: tuple[str, ...]

    def extended(self, which: str) -> dict[str, str]:
        """{prompt: text to generate from}; which: "short" (the prompts themselves), "wanx" or "vbench2".

        `ValueError` for an unknown name, a missing file, and lines that do not belong to the prompts.
        """
        if which == "short":
            return {prompt: prompt for prompt in self.prompts}
        if which not in EXTENDED:
            raise ValueError(f"unknown prompts {which!r}; known: {', '.join(PROMPTS)}")
        path = self.root / EXTENDED[which]
        if not path.is_file():
            raise ValueError(f"{path} is missing; {_GET}; or plan with --prompts short")
        lines = _lines(path)
        if len(lines) != len(self.prompts):
            raise ValueError(f"{path} has {len(lines)} lines for {len(self.prompts)} prompts: they are not aligned")
        if not _aligned(self.prompts, lines):
            raise ValueError(f"{path}: its lines fit the neighbouring prompts better: they are not aligned")
        return dict(zip(self.prompts, lines, strict=True))


def read_checkout(root: str | Path) -> Checkout:
    """The checkout at `root`, the folder that holds `evaluate.py`.

    Another commit than the tested one, changed files and other prompt counts are `warnings`. `ValueError`, one line,
    for a folder that is no checkout, lacks a part (as the package on PyPI does) or whose JSON is not VBench-2.0's.
    """
    root = Path(root).expanduser().resolve()
    if (root / "VBench-2.0" / "evaluate.py").is_file():
        raise ValueError(f"{root} holds VBench-2.0 as a folder: give --root {root / 'VBench-2.0'}")
    missing = [name for name in _NEEDED if not (root / name).exists()]
    if missing:
        wheel = "; the package on PyPI lacks parts too" if len(missing) < len(_NEEDED) else ""
        raise ValueError(f"{root} is no whole checkout of VBench-2.0: {', '.join(missing)} missing{wheel}; {_GET}")
    records, prompts = _read_records(root / RECORDS), tuple(_lines(root / FULL_TEXT))
    if sorted(prompts) != sorted({record.prompt for record in records}):
        raise ValueError(f"{root / FULL_TEXT} and {RECORDS} do not hold the same prompts: a damaged checkout; {_GET}")
    commit, changed = _commit(root)
    return Checkout(root, commit, records, prompts, tuple(_warnings(commit, changed, records)))


def _read_records(path: Path) -> tuple[Record, ...]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ValueError(f"{path} is not readable JSON: a damaged checkout; {_GET}") from None
    if not isinstance(found, list) or not found:
        raise ValueError(f"{path} is not a list of prompts: a damaged checkout; {_GET}")
    return tuple(_record(path, number, raw) for number, raw in enumerate(found))


def _record(path: Path, number: int, raw: Any) -> Record:
    prompt = raw.get("prompt_en") if isinstance(raw, dict) else None
    dimensions = raw.get("dimension") if isinstance(raw, dict) else None
    if not isinstance(prompt, str) or not prompt or not isinstance(dimensions, list) or len(dimensions) != 1:
        raise ValueError(f"{path}: record {number} has no prompt_en with one dimension: a damaged checkout; {_GET}")
    if dimensions[0] not in DIMENSIONS:
        raise ValueError(f"{path}: record {number} has the unknown dimension {dimensions[0]!r}; {_GET}")
    return Record(prompt, dimensions[0], raw)


def _warnings(commit: str, changed: bool, records: tuple[Record, ...]) -> list[str]:
    found = []
    if commit != TESTED_COMMIT:
        found.append(f"VBench is at commit {commit}; tested with {TESTED_COMMIT}")
    if changed:
        found.append("VBench's own files differ from that commit")
    counts = {key: sum(record.dimension == key for record in records) for key in DIMENSIONS}
    other = [f"{key} {counts[key]} of {row.prompts}" for key, row in DIMENSIONS.items() if counts[key] != row.prompts]
    if other:
        found.append(f"prompts differ from the official list, so there is no total score: {', '.join(other)}")
    return found


def _lines(path: Path) -> list[str]:
    """Lines that hold anything; the files end with and without a line break. Spaces inside a line are kept."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise ValueError(f"{path} is not readable text: a damaged checkout; {_GET}") from None
    return [line.removesuffix("\r") for line in text.split("\n") if line.strip()]


def _aligned(prompts: tuple[str, ...], texts: list[str]) -> bool:
    """Whether texts share more words with their own prompts than with the next or the previous ones."""
    asked = [_words(prompt) for prompt in prompts]
    told = [_words(text) for text in texts]

    def shared(shift: int) -> float:
        pairs = zip(asked, told[shift:] + told[:shift], strict=True)
        return sum(len(prompt & text) / max(1, len(prompt)) for prompt, text in pairs)

    return all(shared(0) > shared(shift) for shift in (1, -1)) or len(prompts) < 2


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{3,}", text.lower()))


def _commit(root: Path) -> tuple[str, bool]:
    """(commit, whether VBench's files were changed); ("unknown", False) where they are not under version control."""
    if _git(root, "cat-file", "-e", "HEAD:./evaluate.py") is None:
        return "unknown", False
    files = sorted(path.relative_to(root).as_posix() for path in root.glob("vbench2/*.py"))
    files += ["evaluate.py", RECORDS, FULL_TEXT]
    held = _git(root, "rev-parse", *(f"HEAD:./{name}" for name in files))
    return _git(root, "rev-parse", "HEAD") or "unknown", held != _git(root, "hash-object", "--", *files)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
