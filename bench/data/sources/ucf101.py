"""UCF-101 with its official split lists, read as published.

Traps in the real files, all handled here: CRLF line endings; train lines carry a label and test lines do not; the
class `HandstandPushups` holds files named `v_HandStandPushups_...`, so paths are taken as written and never rebuilt or
case-folded. Clips of one group share a scene, so only the official lists split the set.

`root` holds `<Class>/<file>` (or the files side by side), also inside `UCF-101/`, and the lists, directly or in
`ucfTrainTestlist/`. Listed clips whose files are absent stay in the set: they are named in `ClipSet.missing`, counted
in `ClipSet.notes`, and raise `ClipError` when read.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from bench.data.clips import SOURCES, ClipSet, video_item

OFFICIAL_COUNTS = {
    "train01": 9537,
    "train02": 9586,
    "train03": 9624,
    "test01": 3783,
    "test02": 3734,
    "test03": 3696,
}
ALIASES = {"train": "train01", "heldout": "test01"}
NAMED_AT_MOST = 3  # bad entries quoted in one message

_LINE = re.compile(r"(?P<entry>.+?)(?:\s+\d+)?")  # `<Class>/<file>`, then perhaps a 1-based label


@SOURCES.register("ucf101")
def open_ucf101(root: str | None, split: str) -> ClipSet:
    """The clips of one official list: "train01".."test03", "train" (train01) or "heldout" (test01).

    Raises `ValueError` when the list is absent, is empty, or has entries that are repeated or point outside the data
    set, and when none of its clips is there.
    """
    if not root:
        raise ValueError("data source 'ucf101' needs a root: the folder with the classes and the official lists")
    if not Path(root).is_dir():
        raise ValueError(f"UCF-101 folder {str(root)!r} does not exist or is not a folder")
    split = ALIASES.get(split, split)
    if split not in OFFICIAL_COUNTS:
        known = ", ".join([*ALIASES, *OFFICIAL_COUNTS])
        raise ValueError(f"data source 'ucf101' has no split {split!r}; choose one of: {known}")
    list_path = _find_list(Path(root), split)
    entries = parse_list(list_path.read_bytes(), list_path.name)
    paths = {entry: _locate(Path(root), entry) for entry in entries}
    missing = [entry for entry in entries if not paths[entry].is_file()]
    if len(missing) == len(entries):
        raise ValueError(
            f"none of the {len(entries)} clips of {list_path.name} is under {str(root)!r}; "
            f"expected for example {entries[0]} or {Path(entries[0]).name} there"
        )
    items = [video_item(entry, paths[entry]) for entry in entries]
    return ClipSet("ucf101", split, items, missing, _notes(list_path.name, split, len(entries), len(missing)))


def parse_list(content: bytes, list_name: str) -> list[str]:
    """The entries of one list file as `<Class>/<file>`, sorted bytewise, so that the line order does not matter."""
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{list_name} is not a text file: {error.reason}") from None
    matches = (_LINE.fullmatch(line.strip()) for line in lines)
    entries = [match["entry"] for match in matches if match]
    if not entries:
        raise ValueError(f"{list_name} lists no clips; fetch the official list again")
    _refuse(list_name, "entries that point outside the data set", [e for e in entries if not _stays_inside(e)])
    _refuse(list_name, "repeated entries", [entry for entry, count in Counter(entries).items() if count > 1])
    return sorted(entries, key=os.fsencode)


def _stays_inside(entry: str) -> bool:
    drive_or_backslash = "\\" in entry or entry[1:2] == ":"
    return not (entry.startswith("/") or drive_or_backslash or "\0" in entry or ".." in entry.split("/"))


def _refuse(list_name: str, what: str, entries: list[str]) -> None:
    if entries:
        quoted = ", ".join(repr(entry) for entry in entries[:NAMED_AT_MOST])
        raise ValueError(f"{list_name} has {len(entries)} {what}: {quoted}{' ...' if entries[NAMED_AT_MOST:] else ''}")


def _find_list(root: Path, split: str) -> Path:
    name = f"{split[:-2]}list{split[-2:]}.txt"
    for folder in (root / "ucfTrainTestlist", root):
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"{name} is not in {str(root)!r} nor in its ucfTrainTestlist folder; get the official split lists")


def _locate(root: Path, entry: str) -> Path:
    """Where the clip lies, nested by class or flat; the nested place when it lies nowhere."""
    places = [base / tail for base in (root, root / "UCF-101") for tail in (entry, Path(entry).name)]
    return next((place for place in places if place.is_file()), places[0])


def _notes(list_name: str, split: str, listed: int, missing: int) -> list[str]:
    notes = []
    if listed != OFFICIAL_COUNTS[split]:
        notes.append(f"{list_name} lists {listed} clips, the official list has {OFFICIAL_COUNTS[split]}")
    if missing:
        notes.append(f"{missing} of {listed} clips listed in {list_name} are missing")
    return notes
