"""The user's folder: the same list on every machine, bad files named, nothing dropped in silence."""

from __future__ import annotations

import shutil

import pytest

from bench.data import ClipError, ClipProtocol, open_clips

PROTOCOL = ClipProtocol(frames=5, size=16)


@pytest.mark.faults
def test_files_are_found_at_any_depth_in_bytewise_order(write_video):
    video = write_video("b.mp4", frames=5)
    root = video.parent
    for name in ["a/z.MKV", "B.mp4", "-dash.mp4", "a/a.mp4", ".hidden.mp4", ".cache/x.mp4", "a/notes.txt"]:
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(video, root / name)
    clips = open_clips("folder", str(root), "all")
    assert clips.names == ["-dash.mp4", "B.mp4", "a/a.mp4", "a/z.MKV", "b.mp4"]
    assert all(clips.read(name, PROTOCOL).shape == (3, 5, 16, 16) for name in clips.names)


def test_without_subfolders_every_fifth_file_is_held_out(tmp_path):
    for index in range(11):
        (tmp_path / f"{index:02}.mp4").touch()
    heldout, train = (open_clips("folder", str(tmp_path), split).names for split in ("heldout", "train"))
    assert heldout == ["00.mp4", "05.mp4", "10.mp4"]
    assert sorted(heldout + train) == open_clips("folder", str(tmp_path), "all").names


def test_subfolders_are_the_splits(tmp_path):
    for name in ["train/a.mp4", "heldout/b.mp4", "other.mp4"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert open_clips("folder", str(tmp_path), "train").names == ["train/a.mp4"]
    assert open_clips("folder", str(tmp_path), "heldout").names == ["heldout/b.mp4"]
    assert len(open_clips("folder", str(tmp_path), "all")) == 3
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(ValueError, match="'heldout' but no 'train'"):
        open_clips("folder", str(tmp_path), "train")


def test_fingerprint_ignores_where_the_folder_is_but_not_what_is_in_it(tmp_path):
    for place in ("one", "two/deeper"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "a.mp4").write_bytes(b"12345")
    first = open_clips("folder", str(tmp_path / "one"), "all").fingerprint
    assert first == open_clips("folder", str(tmp_path / "two/deeper"), "all").fingerprint
    (tmp_path / "one" / "a.mp4").write_bytes(b"123456")
    assert first != open_clips("folder", str(tmp_path / "one"), "all").fingerprint


@pytest.mark.faults
def test_a_bad_file_stays_in_the_set_and_is_named_when_read(write_video):
    root = write_video("good.mp4", frames=5).parent
    (root / "bad.mp4").write_text("no video")
    clips = open_clips("folder", str(root), "all")
    assert clips.names == ["bad.mp4", "good.mp4"]
    with pytest.raises(ClipError, match=r"'bad\.mp4' cannot be decoded"):
        clips.read("bad.mp4", PROTOCOL)


def test_user_mistakes_get_one_clear_sentence(tmp_path):
    cases = [
        (None, "all", "needs a root"),
        (str(tmp_path / "no"), "all", "does not exist"),
        (str(tmp_path), "all", "no videos"),
    ]
    cases.append((str(tmp_path), "test", "no split 'test'; choose one of: all, heldout, train"))
    for root, split, words in cases:
        with pytest.raises(ValueError, match=words) as caught:
            open_clips("folder", root, split)
        assert "\n" not in str(caught.value)


def test_a_single_file_leaves_nothing_to_train_on(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(ValueError, match="no videos for split 'train'"):
        open_clips("folder", str(tmp_path), "train")
