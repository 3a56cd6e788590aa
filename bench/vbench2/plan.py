"""Which videos VBench-2.0 needs: one entry per video, in a JSON file that is checked on reading.

The videos of a plan lie flat in `VIDEOS/<arm>/<name>`; a video that several dimensions need is made once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.vbench2.dimensions import DIMENSIONS, video_name
from flash_vaed.whole_file import whole_file

VERSION = 1
SEEDS = 2**31  # one past the largest seed: every generator takes these
NAME_BYTES = 255  # of a file name, on all usual file systems


@dataclass(frozen=True)
class Entry:
    """One video. text: what to generate from, the prompt or its extended form. The name is of the short prompt."""

    name: str
    prompt: str
    text: str
    index: int
    seed: int
    dimensions: tuple[str, ...]


@dataclass(frozen=True)
class Subset:
    """What was left out on purpose: prompts per dimension (None: all of them), and the dimensions that were chosen."""

    per_dimension: int | None
    dimensions: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """commit: of VBench. prompts: "short", or whose extended texts. seed: what the videos' own seeds were made from."""

    commit: str
    prompts: str
    seed: int
    subset: Subset | None
    entries: tuple[Entry, ...]

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions that the plan has videos for, in VBench's order of categories."""
        used = {key for entry in self.entries for key in entry.dimensions}
        return tuple(key for key in DIMENSIONS if key in used)

    def of(self, dimension: str) -> tuple[Entry, ...]:
        """The videos that one dimension needs."""
        return tuple(entry for entry in self.entries if dimension in entry.dimensions)

    def judged(self, dimension: str) -> tuple[str, ...]:
        """Names that a result of this dimension has values for: every video, or the first one of each prompt."""
        first_only = DIMENSIONS[dimension].per_prompt
        return tuple(entry.name for entry in self.of(dimension) if entry.index == 0 or not first_only)

    @property
    def complete(self) -> bool:
        """Whether it is the official list: all 18 dimensions with all their prompts. Only then is there a total."""
        return self.subset is None and all(len(self.of(key)) == row.videos for key, row in DIMENSIONS.items())

    def counts(self) -> dict[str, Any]:
        """Prompts, videos, videos counted once per dimension, and prompts and videos of each dimension."""
        per = {key: self.of(key) for key in self.dimensions}
        return {
            "prompts": len({entry.prompt for entry in self.entries}),
            "videos": len(self.entries),
            "videos_in_dimension_folders": sum(len(entries) for entries in per.values()),
            "dimensions": {
                key: {"prompts": len({entry.prompt for entry in entries}), "videos": len(entries)}
                for key, entries in per.items()
            },
        }

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, in the order of reading."""
        return {
            "format": "vbench2-plan", "version": VERSION, "commit": self.commit, "prompts": self.prompts,
            "seed": self.seed, "subset": None if self.subset is None else asdict(self.subset),
            "counts": self.counts(), "entries": [asdict(entry) for entry in self.entries],
        }  # fmt: skip

    def digest(self) -> str:
        """16 hex digits over all of it."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_plan(plan: Plan, path: str | Path) -> None:
    """Write `plan` whole or not at all; `ValueError` for a missing folder and for another plan that lies there."""
    file = Path(path).expanduser()
    if file.exists() and (not file.is_file() or read_plan(file) != plan):
        raise ValueError(f"{file} holds another plan; videos may have been made from it: choose another name")
    with whole_file(file) as partial:
        partial.write_text(json.dumps(plan.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_plan(path: str | Path) -> Plan:
    """The plan stored at `path`. `ValueError`, one line that names the file, for anything that is not one."""
    file = Path(path).expanduser()
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or error}; make a plan with: python -m bench vbench2 plan") from None
    except ValueError:
        raise ValueError(f"{file} is not JSON, or not all of it") from None
    try:
        return _plan(document)
    except _BadPlan as error:
        raise ValueError(f"{file}: {error}") from None


class _BadPlan(Exception):
    """What is wrong with a plan, without the file's name."""


_KEYS = {"format", "version", "commit", "prompts", "seed", "subset", "counts", "entries"}
_ENTRY_KEYS = {"name", "prompt", "text", "index", "seed", "dimensions"}


def _plan(document: Any) -> Plan:
    if not isinstance(document, dict) or document.get("format") != "vbench2-plan":
        raise _BadPlan("not a plan of `python -m bench vbench2 plan`")
    if document.get("version") != VERSION:
        raise _BadPlan(f"version {document.get('version')!r}; this program reads version {VERSION}")
    _expect(document.keys() == _KEYS, f"its fields differ: {sorted(document.keys() ^ _KEYS)}")
    for key, kind in (("commit", str), ("prompts", str), ("entries", list)):
        _expect(isinstance(document[key], kind), f"{key} is not a {kind.__name__}")
    _expect(bool(document["entries"]), "it has no entries")
    _expect(_whole(document["seed"], SEEDS), "seed is not a whole number from 0 below 2**31")
    entries = tuple(_entry(number, raw) for number, raw in enumerate(document["entries"]))
    plan = Plan(document["commit"], document["prompts"], document["seed"], _subset(document["subset"]), entries)
    for what, values in (("names", [entry.name.casefold() for entry in entries]),
                         ("seeds", [entry.seed for entry in entries])):  # fmt: skip
        _expect(len(set(values)) == len(values), f"two entries have equal {what}")
    _expect(document["counts"] == plan.counts(), "its counts are not those of its entries")
    return plan


def _subset(raw: Any) -> Subset | None:
    if raw is None:
        return None
    _expect(isinstance(raw, dict) and raw.keys() == {"per_dimension", "dimensions"}, "subset has other fields")
    per, chosen = raw["per_dimension"], raw["dimensions"]
    _expect(per is None or _whole(per, SEEDS), "subset.per_dimension is not a whole number")
    _expect(_known(chosen), "subset.dimensions are not dimensions of VBench-2.0")
    return Subset(per, tuple(chosen))


def _entry(number: int, raw: Any) -> Entry:
    _expect(isinstance(raw, dict) and raw.keys() == _ENTRY_KEYS, f"entry {number} has other fields")
    assert isinstance(raw, Mapping)
    where = f"entry {number} ({str(raw['name'])[:60]!r})"
    for key in ("name", "prompt", "text"):
        _expect(isinstance(raw[key], str) and bool(raw[key].strip()), f"{where}: {key} is not text")
    _expect(_known(raw["dimensions"]) and bool(raw["dimensions"]), f"{where}: dimensions are not VBench-2.0's")
    samples = max(DIMENSIONS[key].samples for key in raw["dimensions"])
    _expect(_whole(raw["index"], samples), f"{where}: index is not a whole number from 0 below {samples}")
    _expect(_whole(raw["seed"], SEEDS), f"{where}: seed is not a whole number from 0 below 2**31")
    name = raw["name"]
    _expect(name == video_name(raw["prompt"], raw["index"]), f"{where}: the name is not prompt[:180]-index.mp4")
    _expect(not set(name) & set("/\\\0\n\r"), f"{where}: the name holds a path separator or a line break")
    _expect(len(name.encode()) <= NAME_BYTES, f"{where}: the name is longer than {NAME_BYTES} bytes")
    return Entry(name, raw["prompt"], raw["text"], raw["index"], raw["seed"], tuple(raw["dimensions"]))


def _known(keys: Any) -> bool:
    return isinstance(keys, list) and all(isinstance(key, str) and key in DIMENSIONS for key in keys) and \
        len(set(keys)) == len(keys)  # fmt: skip


def _whole(value: Any, end: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < end


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _BadPlan(otherwise)
