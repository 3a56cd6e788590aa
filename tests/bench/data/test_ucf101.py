"""The official lists are read as published: CRLF, labels, mixed case, missing files, and nothing outside the set."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.data import ClipError, ClipProtocol, open_clips
from bench.data.sources.ucf101 import OFFICIAL_COUNTS, parse_list

ENTRIES = [
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
    "HandstandPushups/v_HandStandPushups_g01_c02.avi",
    "YoYo/v_YoYo_g07_c03.avi",
]


def build(
    root: Path, entries: list[str] = ENTRIES, name: str = "testlist01.txt", files: list[str] | None = None
) -> str:
    """A data set whose listed files are empty, with its list in CRLF; returns the root."""
    (root / "ucfTrainTestlist").mkdir(parents=True, exist_ok=True)
    (root / "ucfTrainTestlist" / name).write_bytes("".join(f"{entry}\r\n" for entry in entries).encode())
    for file in ENTRIES if files is None else files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return str(root)


@pytest.mark.faults
@pytest.mark.parametrize("ending", ["\r\n", "\n"])
@pytest.mark.parametrize("label", ["", " 7"])
@pytest.mark.parametrize("blank", ["", "\r\n", "  \n"])
def test_endings_labels_blank_lines_and_order_do_not_change_the_list(ending, label, blank):
    lines = [entry + label + ending for entry in ENTRIES]
    random.Random(0).shuffle(lines)
    assert parse_list((blank + "".join(lines) + blank).encode(), "list") == ENTRIES


@pytest.mark.faults
def test_same_list_same_fingerprint_and_the_files_keep_their_case(tmp_path):
    first = open_clips("ucf101", build(tmp_path / "a"), "test01")
    second = open_clips("ucf101", build(tmp_path / "b", list(reversed(ENTRIES))), "heldout")
    assert first.names == ENTRIES
    assert first.missing == []
    assert first.fingerprint == second.fingerprint
    trained = open_clips("ucf101", build(tmp_path / "c", [e + " 1" for e in ENTRIES], "trainlist01.txt"), "train")
    assert trained.names == ENTRIES
    assert trained.fingerprint != first.fingerprint


@pytest.mark.parametrize("layout", ["{}", "UCF-101/{}", "flat", "UCF-101/flat"])
def test_nested_and_flat_layouts(tmp_path, layout):
    files = [layout.replace("flat", Path(e).name) if "flat" in layout else layout.format(e) for e in ENTRIES]
    clips = open_clips("ucf101", build(tmp_path, files=files), "test01")
    assert clips.missing == []


@pytest.mark.faults
def test_missing_files_stay_listed_are_counted_and_refuse_to_be_read(tmp_path):
    clips = open_clips("ucf101", build(tmp_path, files=ENTRIES[:1]), "test01")
    assert clips.names == ENTRIES
    assert clips.missing == ENTRIES[1:]
    assert "2 of 3 clips listed in testlist01.txt are missing" in clips.notes
    assert any("the official list has 3783" in note for note in clips.notes)
    with pytest.raises(ClipError, match=r"HandStandPushups_g01_c02\.avi' is missing"):
        clips.read(ENTRIES[1], ClipProtocol())


@pytest.mark.faults
def test_a_file_of_another_case_is_not_taken_for_the_listed_one(tmp_path):
    wrong_case = ENTRIES[1].replace("HandStand", "Handstand")
    clips = open_clips("ucf101", build(tmp_path, files=[ENTRIES[0], wrong_case, ENTRIES[2]]), "test01")
    if (tmp_path / ENTRIES[1]).exists():
        pytest.skip("this file system ignores case")
    assert clips.missing == [ENTRIES[1]]


@pytest.mark.faults
@pytest.mark.parametrize("entry", ["/etc/passwd", "../x.avi", "A/../../x.avi", "C:/x.avi", "A\\x.avi", "A/\0x.avi"])
def test_entries_outside_the_set_are_refused_by_name(tmp_path, entry):
    with pytest.raises(ValueError, match="1 entries that point outside"):
        open_clips("ucf101", build(tmp_path, [*ENTRIES, entry]), "test01")


@pytest.mark.faults
def test_repeated_entries_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="1 repeated entries: 'YoYo"):
        open_clips("ucf101", build(tmp_path, [*ENTRIES, ENTRIES[2]]), "test01")


def test_user_mistakes_get_one_clear_sentence(tmp_path):
    root = build(tmp_path / "ok")
    (tmp_path / "ok/ucfTrainTestlist/testlist02.txt").write_bytes(b"\r\n\r\n")
    (tmp_path / "ok/ucfTrainTestlist/testlist03.txt").write_bytes(b"\xff\xfe\x00")
    cases = [
        (None, "test01", "needs a root"),
        (str(tmp_path / "no"), "test01", "does not exist"),
        (root, "val", "no split 'val'"),
        (root, "train02", "trainlist02.txt is not in"),
        (root, "test02", "testlist02.txt lists no clips"),
        (root, "test03", "testlist03.txt is not a text file"),
        (build(tmp_path / "none", files=[]), "test01", "none of the 3 clips of testlist01.txt"),
    ]
    for where, split, words in cases:
        with pytest.raises(ValueError, match=words) as caught:
            open_clips("ucf101", where, split)
        assert "\n" not in str(caught.value)


@pytest.mark.faults
@pytest.mark.parametrize("split", sorted(OFFICIAL_COUNTS))
def test_real_official_lists(real_files, split):
    name = f"{split[:-2]}list{split[-2:]}.txt"
    entries = parse_list((real_files("ucf101") / name).read_bytes(), name)
    assert len(entries) == OFFICIAL_COUNTS[split]
    assert all(entry.endswith(".avi") and entry.count("/") == 1 for entry in entries)


def test_real_splits_share_no_group(real_files):
    def groups(name: str) -> set[str]:
        return {entry.rsplit("_c", 1)[0] for entry in parse_list((real_files("ucf101") / name).read_bytes(), name)}

    assert not groups("trainlist01.txt") & groups("testlist01.txt")


def test_real_clips_decode(real_files):
    for split, frames in (("test01", 164), ("train01", 240)):
        clips = open_clips("ucf101", str(real_files("ucf101")), split)
        (name,) = set(clips.names) - set(clips.missing)
        assert clips.read_uint8(name).shape == (frames, 240, 320, 3)
