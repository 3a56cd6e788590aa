"""The user's own folder of videos, searched recursively and sorted bytewise so that every machine sees the same list.

Splits: when the folder has subfolders `train/` and `heldout/`, those are the splits. Otherwise every fifth file (the
1st, 6th, 11th ...) is held out and the rest is for training. "all" is every file. A file-wise split leaks when several
files show the same scene: use the two subfolders then.
"""

from __future__ import annotations

import os
from pathlib import Path

from bench.data.clips import SOURCES, ClipItem, ClipSet, video_item

EXTENSIONS = frozenset(
    [".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"]
)
HELD_OUT_EVERY = 5
SPLITS = ("all", "heldout", "train")


@SOURCES.register("folder")
def open_folder(root: str | None, split: str) -> ClipSet:
    """The videos under `root`. Raises `ValueError` when the folder is missing or the split holds no video."""
    if not root:
        raise ValueError("data source 'folder' needs a root: the folder with your videos")
    folder = Path(root)
    if not folder.is_dir():
        raise ValueError(f"data folder {str(root)!r} does not exist or is not a folder")
    if split not in SPLITS:
        raise ValueError(f"data source 'folder' has no split {split!r}; choose one of: {', '.join(SPLITS)}")
    files = _files_of_split(folder, split)
    if not files:
        raise ValueError(f"no videos for split {split!r} in {str(root)!r}; looked for {' '.join(sorted(EXTENSIONS))}")
    return ClipSet("folder", split, [_item(folder, relative) for relative in files])


def _files_of_split(folder: Path, split: str) -> list[bytes]:
    """Paths relative to `folder`, in bytewise order."""
    if split != "all" and ((folder / "train").is_dir() or (folder / "heldout").is_dir()):
        if not (folder / split).is_dir():
            other = "heldout" if split == "train" else "train"
            raise ValueError(f"{str(folder)!r} has a subfolder {other!r} but no {split!r}; add it or use split 'all'")
        return [os.fsencode(split) + b"/" + relative for relative in _videos_under(folder / split)]
    files = _videos_under(folder)
    if split == "all":
        return files
    return [file for index, file in enumerate(files) if (index % HELD_OUT_EVERY == 0) == (split == "heldout")]


def _videos_under(folder: Path) -> list[bytes]:
    found = []
    for parent, subfolders, names in os.walk(os.fsencode(folder)):
        subfolders[:] = [name for name in subfolders if not name.startswith(b".")]
        for name in names:
            extension = os.fsdecode(os.path.splitext(name)[1]).lower()
            if extension in EXTENSIONS and not name.startswith(b"."):
                found.append(os.path.relpath(os.path.join(parent, name), os.fsencode(folder)).replace(b"\\", b"/"))
    return sorted(found)


def _item(folder: Path, relative: bytes) -> ClipItem:
    """A clip named by its relative path; the file size in its identity tells apart files of the same name."""
    path = folder / os.fsdecode(relative)
    name = relative.decode("utf-8", "backslashreplace")
    return video_item(name, path, identity=f"{path.stat().st_size} bytes")
