"""The folders that VBench reads: `OUT/<arm>/videos/<unique name>/<Dimension>/<name>.mp4`, and nothing else in them.

VBench takes the extension of whatever file comes first, and Instance_Preservation cuts clips into
`model_clip/<name of the folder above the dimension>` and takes those that lie there for its own. So that folder's name
holds a hash of the arm's videos: no other arm, folder or earlier video can have it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def arm_folder(out: Path, arm: str, videos_digest: str) -> Path:
    """Where the dimension folders of one arm lie. videos_digest: of the arm's videos, `videos.fingerprint`."""
    told = hashlib.sha256(f"{out.resolve()}\0{arm}\0{videos_digest}".encode()).hexdigest()[:10]
    return out / arm / "videos" / f"{arm}-{told}"


def lay_out(source: Path, folder: Path, names: Iterable[str]) -> None:
    """Make `folder` hold exactly these videos of `source`: hard links, else symbolic links, else copies.

    What else lies there is a link or a copy of ours and is removed; `source` is only read.
    """
    wanted = set(names)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for name in sorted(wanted):
        _link(source / name, folder / name)


def forget_other(folder: Path, arm: str) -> None:
    """Remove the layouts of the arm's earlier videos beside `folder`; they are links."""
    for path in folder.parent.glob(f"{arm}-*"):
        if path != folder and len(path.name) == len(folder.name):
            shutil.rmtree(path, ignore_errors=True)


def forget_clips(root: Path, folder: Path) -> None:
    """Remove the clips that were cut from this arm's videos in the checkout; its name is ours alone."""
    shutil.rmtree(root / "model_clip" / folder.name, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    for make in (os.link, os.symlink):
        with contextlib.suppress(OSError):
            make(source.resolve(), target)
            return
    shutil.copyfile(source, target)
