"""Every video is there, whole and alike in all arms, before anything is evaluated; layouts hold links alone."""

from __future__ import annotations

import pytest

from bench.vbench2 import layout, videos
from tests.bench.vbench2.fake import clip, make_root, make_videos, plan_of


@pytest.fixture(name="made")
def _made(tmp_path):
    plan = plan_of(make_root(tmp_path / "root"))
    return plan, make_videos(tmp_path / "videos", plan, "student", "teacher")


def check(plan, folder, dimensions=None):
    videos.check_complete(plan, folder, ("student", "teacher"), dimensions or plan.dimensions)


def test_whole_arms_pass_and_every_gap_is_named(made):
    plan, folder = made
    check(plan, folder)
    names = [entry.name for entry in plan.of("Human_Identity")]
    for name in names[:4]:
        (folder / "student" / name).unlink()
    (folder / "teacher" / names[0]).write_bytes(b"")
    (folder / "teacher" / names[1]).write_bytes(clip(3)[:-200])
    with pytest.raises(ValueError, match="nothing was evaluated") as caught:
        check(plan, folder)
    said = str(caught.value)
    assert "student: 4 of 29 videos missing" in said
    assert "and 1 more" in said
    assert "teacher: 1 of 29 videos empty" in said
    assert "teacher: 1 of 29 videos unreadable" in said
    assert repr(names[0]) in said


def test_a_name_without_its_last_space_is_another_name(made):
    plan, folder = made
    entry = next(entry for entry in plan.entries if entry.name.endswith(" -0.mp4"))
    path = folder / "student" / entry.name
    path.rename(path.with_name(entry.name.replace(" -0", "-0")))
    with pytest.raises(ValueError, match="1 of 29 videos missing"):
        check(plan, folder)


def test_only_the_dimensions_that_are_asked_for_are_needed(made):
    plan, folder = made
    other = next(entry.name for entry in plan.entries if entry.dimensions == ("Diversity",))
    (folder / "student" / other).unlink()
    check(plan, folder, ("Human_Identity", "Camera_Motion"))
    with pytest.raises(ValueError, match="missing"):
        check(plan, folder, ("Diversity",))


@pytest.mark.parametrize(("options", "words"), [({"frames": 4}, "4 frames"), ({"rate": 8, "frames": 3}, "8 fps")])
def test_arms_that_differ_in_length_or_rate_are_refused(options, words, made):
    plan, folder = made
    (folder / "teacher" / plan.entries[0].name).write_bytes(clip(**options))
    with pytest.raises(ValueError, match="differ in more than pixels") as caught:
        check(plan, folder)
    assert words in str(caught.value)


def test_a_layout_is_exactly_its_links_and_touches_no_source(made, tmp_path):
    plan, folder = made
    source, target = folder / "student", tmp_path / "out" / "x"
    names = [entry.name for entry in plan.of("Camera_Motion")]
    target.mkdir(parents=True)
    (target / "notes.txt").write_text("first in os.listdir, it would become the extension")
    (target / "old.mp4").symlink_to(source / names[0])
    layout.lay_out(source, target, names)
    assert sorted(path.name for path in target.iterdir()) == sorted(names)
    assert all((target / name).samefile(source / name) for name in names)
    layout.lay_out(source, target, names[:1])
    assert all((source / name).read_bytes() == clip(3) for name in names)


def test_no_two_arms_share_the_folder_that_clips_are_named_by(made, tmp_path):
    plan, folder = made
    names = [entry.name for entry in plan.entries]
    before = videos.fingerprint(folder / "student", names)
    assert before == videos.fingerprint(folder / "teacher", names)
    names_of = {
        layout.arm_folder(out, arm, before).name for out in (tmp_path / "a", tmp_path / "b") for arm in ("x", "y")
    }
    assert len(names_of) == 4
    (folder / "student" / names[0]).write_bytes(clip(3, level=90))
    after = videos.fingerprint(folder / "student", names)
    assert layout.arm_folder(tmp_path, "x", after) != layout.arm_folder(tmp_path, "x", before)
