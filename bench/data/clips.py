"""Clip sets: a named, ordered list of clips of which nothing is decoded until it is read.

A clip that cannot be read raises `ClipError` with its name and the reason. It is never replaced by another clip: the
set keeps its length and its fingerprint, and the failure is reported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from bench.data.decode import DecodeError, decode_video
from bench.data.protocol import ClipProtocol
from flash_vaed.registry import Registry

TRAINING_SHORT_SIDE = 288  # larger clips are shrunk to this while decoding for training, to save memory
TRAINING_FRAMES = 1024  # frames of one clip that training keeps; a longer clip gives its first ones


class ClipError(ValueError):
    """A clip that cannot be used: `name` says which, `reason` says why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"clip {name!r} {reason}")
        self.name, self.reason = name, reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.name, self.reason)


@dataclass(frozen=True)
class UnreadableClip:
    """A clip that was asked for and could not be used."""

    name: str
    reason: str


# load(start, stop, stride, short_side) -> uint8 RGB frames (T, H, W, 3); stop None is "to the end",
# short_side None is "as stored". Fewer frames come back when the clip is shorter. Raises DecodeError.
LoadFrames = Callable[[int, "int | None", int, "int | None"], np.ndarray]


@dataclass(frozen=True)
class ClipItem:
    """One clip: a unique, stable name, how to get its frames, and what its content is known by."""

    name: str
    load: LoadFrames = field(repr=False)
    identity: str = ""  # goes into the fingerprint beside the name: file size, frame range, motion version
    weight: float = 1.0  # how often training draws this clip, relative to the others


def video_item(name: str, path: Path, identity: str = "", weight: float = 1.0) -> ClipItem:
    """A clip that is a whole video file."""

    def load(start: int, stop: int | None, stride: int, short_side: int | None) -> np.ndarray:
        return decode_video(path, start, stop, stride, short_side)

    return ClipItem(name, load, identity, weight)


class ClipSet:
    """A named, ordered list of clips.

    `missing` names the listed clips whose files are absent; `notes` holds one-line facts worth showing, such as a list
    that is shorter than the official one. `fingerprint` (sha256) depends on the clips and their order alone.
    """

    def __init__(
        self,
        source: str,
        split: str,
        items: Sequence[ClipItem],
        missing: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self.source, self.split = source, split
        self._items = {item.name: item for item in items}
        if len(self._items) != len(items):
            raise ValueError(f"{source} lists a clip name twice")
        if not items:
            raise ValueError(f"{source} split {split!r} holds no clips")
        self.missing, self.notes = list(missing), list(notes)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"ClipSet({self.source!r}, {self.split!r}, {len(self)} clips, {self.fingerprint[:12]})"

    @property
    def names(self) -> list[str]:
        """Clip names, in order."""
        return list(self._items)

    @property
    def weights(self) -> list[float]:
        """How often training draws each clip, relative to the others; same order as `names`."""
        return [item.weight for item in self._items.values()]

    @property
    def fingerprint(self) -> str:
        """sha256 over source, split and the ordered names and identities."""
        listing = [self.source, self.split, [[item.name, item.identity] for item in self._items.values()]]
        return hashlib.sha256(json.dumps(listing, ensure_ascii=True).encode()).hexdigest()

    def take(self, max_clips: int | None) -> ClipSet:
        """At most `max_clips` clips, spread evenly over the list (its first clips often show one single class)."""
        if max_clips is None or max_clips >= len(self):
            return self
        if max_clips < 1:
            raise ValueError(f"max_clips must be at least 1, got {max_clips}")
        items = list(self._items.values())
        kept = [items[index * len(items) // max_clips] for index in range(max_clips)]
        kept_names = {item.name for item in kept}
        missing = [name for name in self.missing if name in kept_names]
        return ClipSet(self.source, self.split, kept, missing, self.notes)

    def read(self, name: str, protocol: ClipProtocol) -> Tensor:
        """One clip as float32 `x_CTHW` in [-1, 1], cut and sized by `protocol`; raises `ClipError`."""
        frames_THWC = self._load(name, protocol.start, protocol.stop, protocol.stride, None)
        if len(frames_THWC) < protocol.frames:
            window = f"first frame {protocol.start}, stride {protocol.stride}"
            raise ClipError(name, f"is too short: {len(frames_THWC)} of the {protocol.frames} frames needed ({window})")
        return protocol.fit(frames_THWC)

    def read_uint8(self, name: str) -> np.ndarray:
        """One clip as uint8 RGB (T, H, W, 3) for training; raises `ClipError`.

        Frames whose short side exceeds 288 pixels are shrunk to it, and at most the first 1024 frames are kept.
        """
        return self._load(name, 0, TRAINING_FRAMES, 1, TRAINING_SHORT_SIDE)

    def _load(self, name: str, start: int, stop: int | None, stride: int, short_side: int | None) -> np.ndarray:
        if name not in self._items:
            raise ClipError(name, f"is not in {self.source} split {self.split!r}")
        try:
            return self._items[name].load(start, stop, stride, short_side)
        except DecodeError as error:
            raise ClipError(name, str(error)) from error


OpenSource = Callable[["str | None", str], ClipSet]

SOURCES: Registry[OpenSource] = Registry("clip source", package="bench.data.sources")


def open_clips(source: str, root: str | None = None, split: str = "heldout", max_clips: int | None = None) -> ClipSet:
    """The clips of a source: `bundled` (no root), `folder` or `ucf101` (root: the folder).

    `split` is "train", "heldout" or a name the source knows; `max_clips` keeps that many, spread evenly. Decodes
    nothing. Raises `ValueError` for an unknown source or split, a missing folder, or a list that cannot be trusted.
    """
    return SOURCES.get(source)(root, split).take(max_clips)
