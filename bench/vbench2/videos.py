"""Whether the videos of a plan are all there, before anything expensive starts, and what they are.

A container's header is read, no frame: number of frames, rate and size must be those of the other arms, because VBench
tells its models the length and the times of frames.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av

from bench.vbench2.plan import Plan

SHOWN = 3  # names of a long list

Shape = tuple[int, int, int, Fraction]  # frames, height, width, frames per second


def check_complete(plan: Plan, videos: Path, arms: Sequence[str], dimensions: Sequence[str]) -> None:
    """Every video of these dimensions is in every arm, readable, and alike in all arms; else a `ValueError`.

    The line tells, by arm, how many are missing, empty or unreadable, and names the first few.
    """
    names = [entry.name for entry in plan.entries if set(entry.dimensions) & set(dimensions)]
    faults = [fault for arm in arms for fault in _faults(videos / arm, names, arm)]
    if faults:
        raise ValueError(f"nothing was evaluated: {'; '.join(faults)}")
    for name in names:
        shapes = {arm: _shape(videos / arm / name) for arm in arms}
        other = [arm for arm in arms if shapes[arm] != shapes[arms[0]]]
        if other:
            told = ", ".join(f"{arm} {_describe(shapes[arm])}" for arm in (arms[0], other[0]))
            raise ValueError(f"nothing was evaluated: the arms differ in more than pixels at {name!r}: {told}")


def fingerprint(folder: Path, names: Iterable[str]) -> str:
    """16 hex digits over the names and contents of these videos."""
    digest = hashlib.sha256()
    for name in names:
        stat = (folder / name).stat()
        digest.update(f"{name}\0{_content(folder / name, stat.st_size, stat.st_mtime_ns)}\0".encode())
    return digest.hexdigest()[:16]


def _faults(folder: Path, names: Sequence[str], arm: str) -> list[str]:
    missing = [name for name in names if not (folder / name).is_file()]
    there = [name for name in names if name not in set(missing)]
    empty = [name for name in there if not (folder / name).stat().st_size]
    torn = [name for name in there if name not in set(empty) and _shape(folder / name) is None]
    kinds = (("missing", missing), ("empty", empty), ("unreadable", torn))
    return [f"{arm}: {len(listed)} of {len(names)} videos {kind}: {_first(listed)}" for kind, listed in kinds if listed]


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more


def _shape(path: Path) -> Shape | None:
    stat = path.stat()
    return _read_shape(path, stat.st_size, stat.st_mtime_ns)


@functools.cache
def _read_shape(path: Path, size: int, changed_ns: int) -> Shape | None:
    """Frames, height, width and rate as the header has them; None for what is no whole video."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if not stream.frames or stream.average_rate is None:
                return None
            return stream.frames, stream.height, stream.width, Fraction(stream.average_rate)
    except (av.FFmpegError, IndexError, OSError):
        return None


@functools.cache
def _content(path: Path, size: int, changed_ns: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _describe(shape: Shape | None) -> str:
    if shape is None:
        return "unreadable"
    frames, height, width, rate = shape
    return f"has {frames} frames of {height} x {width} at {float(rate):g} fps"
