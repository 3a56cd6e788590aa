"""Which videos are wanted: names as VBench-2.0 looks for them, seeds of their own, and what cannot be named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.prompts import fingerprint_of, wanted_videos
from bench.spec import Prompts
from bench.vbench2.plan import Entry, Plan, Subset, write_plan


def prompts(*texts: str, file: Path | None = None, count: int | None = None, videos: int = 1) -> Prompts:
    return Prompts(texts, None if file is None else str(file), count, videos)


def test_every_video_has_a_name_and_a_seed_of_its_own():
    found = wanted_videos(prompts("a cat", "a dog", videos=2), seed=3)
    assert [video.name for video in found] == ["a cat-0.mp4", "a cat-1.mp4", "a dog-0.mp4", "a dog-1.mp4"]
    assert [video.text for video in found] == ["a cat", "a cat", "a dog", "a dog"]
    assert len({video.seed for video in found} | {v.seed for v in wanted_videos(prompts("a cat"), seed=4)}) == 5


def test_a_name_is_cut_and_never_stripped():
    text = "x" * 179 + " and more"
    assert wanted_videos(prompts(text), 0)[0].name == "x" * 179 + " -0.mp4"


def test_lines_of_a_file(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("one\n\n two \nthree", encoding="utf-8")
    assert [video.text for video in wanted_videos(prompts(file=file, count=2), 0)] == ["one", " two "]


def test_a_plan_brings_names_texts_and_seeds(tmp_path):
    entries = (
        Entry("short-0.mp4", "short", "a long story", 0, 11, ("Diversity",)),
        Entry("other-0.mp4", "other", "other", 0, 12, ("Diversity",)),
    )
    file = tmp_path / "plan.json"
    write_plan(Plan("abc", "wanx", 0, Subset(1, ("Diversity",)), entries), file)
    found = wanted_videos(prompts(file=file, count=1), seed=5)
    assert [(video.name, video.text, video.seed) for video in found] == [("short-0.mp4", "a long story", 11)]


def test_the_fingerprint_is_of_what_a_file_says(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("one\ntwo")
    second.write_text("one\n\ntwo\n")
    assert fingerprint_of(prompts(file=first)) == fingerprint_of(prompts(file=second))
    second.write_text("one\ntwo!")
    assert fingerprint_of(prompts(file=first)) != fingerprint_of(prompts(file=second))
    assert fingerprint_of(prompts("one")) == ""


@pytest.mark.faults
@pytest.mark.parametrize("text", ["either/or", "line\nbreak", ".hidden", "  ", "狐" * 100])
def test_what_names_no_file_is_refused(text):
    with pytest.raises(ValueError, match="name"):
        wanted_videos(prompts(text), 0)


def test_two_prompts_with_one_name_and_files_without_prompts_are_refused(tmp_path):
    with pytest.raises(ValueError, match="begin alike"):
        wanted_videos(prompts("y" * 180 + "a", "y" * 180 + "b"), 0)
    with pytest.raises(ValueError, match="cannot read"):
        wanted_videos(prompts(file=tmp_path / "absent.txt"), 0)
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(ValueError, match="no prompt"):
        wanted_videos(prompts(file=tmp_path / "empty.txt"), 0)
