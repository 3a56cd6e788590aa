"""Clip sets keep their length, their order and their fingerprint, whatever happens to single clips."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from bench.data import ClipError, ClipItem, ClipProtocol, ClipSet, open_clips
from bench.data.decode import DecodeError


def item(name: str, frames: int = 20, identity: str = "") -> ClipItem:
    def load(start, stop, stride, short_side):
        return np.zeros((frames, 16, 16, 3), np.uint8)[start:stop:stride]

    return ClipItem(name, load, identity)


def broken(name: str) -> ClipItem:
    def load(start, stop, stride, short_side):
        raise DecodeError("is made of cheese")

    return ClipItem(name, load)


@pytest.mark.faults
def test_reading_decodes_one_clip_and_names_a_bad_one():
    clips = ClipSet("here", "all", [item("a"), broken("b"), item("short", frames=6)])
    protocol = ClipProtocol(frames=9, size=16)
    assert clips.read("a", protocol).shape == (3, 9, 16, 16)
    with pytest.raises(ClipError, match="'b' is made of cheese") as caught:
        clips.read("b", protocol)
    assert (caught.value.name, caught.value.reason) == ("b", "is made of cheese")
    with pytest.raises(ClipError, match="too short: 6 of the 9 frames"):
        clips.read("short", protocol)
    with pytest.raises(ClipError, match="'zzz' is not in here"):
        clips.read("zzz", protocol)
    assert clips.names == ["a", "b", "short"]


def test_clip_error_survives_pickling():
    error = pickle.loads(pickle.dumps(ClipError("a", "is bad")))
    assert (error.name, error.reason, str(error)) == ("a", "is bad", "clip 'a' is bad")


def test_fingerprint_depends_on_source_split_names_order_and_identity_only():
    base = ClipSet("s", "t", [item("a"), item("b")], notes=["a note"]).fingerprint
    assert base == ClipSet("s", "t", [item("a", frames=3), broken("b")]).fingerprint
    others = [
        ClipSet("x", "t", [item("a"), item("b")]),
        ClipSet("s", "x", [item("a"), item("b")]),
        ClipSet("s", "t", [item("b"), item("a")]),
        ClipSet("s", "t", [item("a")]),
        ClipSet("s", "t", [item("a"), item("b", identity="other")]),
        ClipSet("s", "t", [item("a"), item("b"), item("c")]),
    ]
    assert base not in {other.fingerprint for other in others}
    assert len({other.fingerprint for other in others}) == len(others)


def test_take_spreads_over_the_list_and_changes_the_fingerprint():
    clips = ClipSet("s", "t", [item(f"{index:02}") for index in range(10)], missing=["01", "05"])
    some = clips.take(4)
    assert some.names == ["00", "02", "05", "07"]
    assert some.missing == ["05"]
    assert some.fingerprint != clips.fingerprint
    assert clips.take(None) is clips
    assert clips.take(10) is clips
    assert clips.take(99) is clips
    with pytest.raises(ValueError, match="max_clips"):
        clips.take(0)


def test_empty_and_ambiguous_sets_are_refused():
    with pytest.raises(ValueError, match="no clips"):
        ClipSet("s", "t", [])
    with pytest.raises(ValueError, match="twice"):
        ClipSet("s", "t", [item("a"), item("a")])


def test_unknown_source_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'bundled'"):
        open_clips("bundeld")
