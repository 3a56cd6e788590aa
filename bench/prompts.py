"""Which videos are to be generated: one after the other, by name, with the words and the seed of each.

Names are those VBench-2.0 looks for: the first 180 characters of the prompt, a hyphen and an index, nothing stripped.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from bench.spec import Prompts
from bench.vbench2.dimensions import video_name
from bench.vbench2.plan import read_plan

LONGEST_NAME = 250  # bytes that every file system takes


@dataclass(frozen=True)
class Wanted:
    """One video: its file name, what the model is told, and the seed of its noise."""

    name: str
    text: str
    seed: int


def wanted_videos(prompts: Prompts, seed: int) -> list[Wanted]:
    """All videos in their order. seed: of the run; a plan has its own.

    An unreadable or empty file, a prompt that names no file, and two prompts with one name are a `ValueError`.
    """
    if prompts.file is not None and prompts.file.endswith(".json"):
        entries = read_plan(Path(prompts.file)).entries
        kept = list(dict.fromkeys(entry.prompt for entry in entries))[: prompts.count]
        return [Wanted(entry.name, entry.text, entry.seed) for entry in entries if entry.prompt in set(kept)]
    texts = list(prompts.texts) if prompts.file is None else _lines(Path(prompts.file))
    texts = texts[: prompts.count]
    names = [checked_name(text, 0) for text in texts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two prompts begin alike, and share the file {twice[:60]!r}")
    videos = prompts.videos
    return [
        Wanted(checked_name(text, index), text, seed * 1_000_000 + number * videos + index)
        for number, text in enumerate(texts) for index in range(videos)
    ]  # fmt: skip


def checked_name(prompt: str, index: int) -> str:
    """The file of a prompt's video number `index`; a prompt that gives no file name is a `ValueError`."""
    name = video_name(prompt, index)
    if not prompt.strip() or any(letter in name for letter in "/\\\0\n\r") or name.startswith("."):
        raise ValueError(f"no file can be named by the prompt {prompt[:60]!r}; it is empty, hidden or holds / or \\")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"the prompt {prompt[:30]!r} gives a file name of {len(name.encode())} bytes; shorten it")
    return name


def fingerprint_of(prompts: Prompts) -> str:
    """Twelve hex digits over what a file says; empty for texts, which speak for themselves."""
    if prompts.file is None:
        return ""
    said = [[wanted.name, wanted.text, wanted.seed] for wanted in wanted_videos(prompts, 0)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


def _lines(path: Path) -> list[str]:
    """Non-empty lines, as they stand."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the prompts in {path}: {error}") from error
    if not (texts := [line for line in lines if line.strip()]):
        raise ValueError(f"{path} holds no prompt")
    return texts
