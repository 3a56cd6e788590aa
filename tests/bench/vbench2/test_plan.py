"""Names as VBench looks for them, shared videos once, seeds that stay; a plan file is strict on reading."""

from __future__ import annotations

import json
import os

import pytest

from bench.__main__ import main
from bench.vbench2.checkout import read_checkout
from bench.vbench2.dimensions import CATEGORIES, DIMENSIONS, video_name
from bench.vbench2.plan import read_plan, write_plan
from bench.vbench2.planning import make_plan
from tests.bench.vbench2.fake import LONG, PROMPTS, SHARED, make_root, plan_of

REAL = os.environ.get("VBENCH2_ROOT")


def test_the_official_list_counts_as_published():
    assert (len(DIMENSIONS), sum(row.prompts for row in DIMENSIONS.values())) == (18, 1230)
    assert sum(row.videos for row in DIMENSIONS.values()) == 3860
    assert [len(keys) for keys in CATEGORIES.values()] == [2, 2, 7, 3, 4]
    assert sum(row.invalid for row in DIMENSIONS.values()) == 7


def test_names_keep_180_letters_and_are_never_stripped():
    name = video_name(LONG, 2)
    assert name == LONG[:180] + "-2.mp4"
    assert name[:180].endswith(" ")
    assert len(name) == 186
    assert "°" in name
    assert "—" in name


def test_a_shared_video_is_made_once_and_knows_who_needs_it(tmp_path):
    plan = plan_of(make_root(tmp_path / "root"))
    shared = [entry for entry in plan.entries if entry.prompt == SHARED]
    assert [entry.index for entry in shared] == list(range(20))
    assert shared[2].dimensions == ("Diversity", "Human_Identity")
    assert shared[3].dimensions == ("Diversity",)
    counts = plan.counts()
    assert (counts["prompts"], counts["videos"], counts["videos_in_dimension_folders"]) == (4, 29, 35)
    assert plan.judged("Diversity") == (video_name(SHARED, 0),)
    assert len(plan.judged("Human_Identity")) == 9
    assert not plan.complete


def test_every_video_has_a_seed_of_its_own_that_a_subset_keeps(tmp_path):
    root = make_root(tmp_path / "root")
    whole, part = plan_of(root), plan_of(root, per_dimension=1, dimensions=["Human_Identity"])
    seeds = {entry.name: entry.seed for entry in whole.entries}
    assert len(set(seeds.values())) == len(whole.entries)
    assert all(seeds[entry.name] == entry.seed for entry in part.entries)
    assert {entry.prompt for entry in part.entries} == {LONG}
    assert part.subset is not None
    assert plan_of(root, seed=1).entries[0].seed != whole.entries[0].seed
    assert whole.entries[0].text.endswith("filmed slowly.")
    assert plan_of(root, prompts="short").entries[0].text == SHARED


def test_prompts_that_give_equal_names_are_refused(tmp_path):
    root = make_root(tmp_path / "root", {"Camera_Motion": ["Garden, zoom in.", "garden, ZOOM in."]})
    with pytest.raises(ValueError, match="equal names"):
        plan_of(root, prompts="short")


def test_a_plan_comes_back_and_is_not_overwritten_by_another(tmp_path):
    root, path = make_root(tmp_path / "root"), tmp_path / "plan.json"
    plan = plan_of(root)
    write_plan(plan, path)
    write_plan(plan, path)
    assert read_plan(path) == plan
    before = path.read_bytes()
    with pytest.raises(ValueError, match="holds another plan"):
        write_plan(plan_of(root, seed=5), path)
    assert path.read_bytes() == before


def _entry(**changes):
    return lambda document: document["entries"][0].update(changes)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda document: document.update(format="x"), "not a plan"),
        (lambda document: document.update(version=2), "version 2"),
        (lambda document: document.update(extra=1), "fields differ"),
        (lambda document: document.update(entries=[]), "no entries"),
        (lambda document: document["entries"].pop(), "counts"),
        (lambda document: document["entries"].append(document["entries"][0]), "equal names"),
        (_entry(name="other.mp4"), "not prompt[:180]-index.mp4"),
        (_entry(name="a/b-0.mp4", prompt="a/b"), "path separator"),
        (_entry(prompt="語" * 180, name="語" * 180 + "-0.mp4"), "255 bytes"),
        (_entry(seed=-1), "seed"),
        (_entry(seed=True), "seed"),
        (_entry(index=20), "index"),
        (_entry(text=" "), "text"),
        (_entry(dimensions=["Camera"]), "dimensions"),
        (_entry(dimensions=[]), "dimensions"),
        (_entry(more=1), "other fields"),
        (lambda document: document["entries"].__setitem__(0, 3), "other fields"),
        (lambda document: document["entries"][1].update(seed=document["entries"][0]["seed"]), "equal seeds"),
        (lambda document: document.update(subset={"per_dimension": 1}), "subset"),
    ],
)
def test_a_damaged_plan_is_refused_in_one_line_that_names_it(damage, words, tmp_path):
    path = tmp_path / "plan.json"
    document = plan_of(make_root(tmp_path / "root")).to_json()
    document = json.loads(json.dumps(document))
    damage(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ValueError, match=r"plan\.json") as caught:
        read_plan(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_half_a_plan_and_none_are_refused(tmp_path):
    path = tmp_path / "plan.json"
    with pytest.raises(ValueError, match="vbench2 plan"):
        read_plan(path)
    path.write_text('{"format": ')
    with pytest.raises(ValueError, match="not JSON"):
        read_plan(path)


def test_the_command_prints_counts_and_costs(tmp_path, capsys):
    root, out = make_root(tmp_path / "root"), str(tmp_path / "plan.json")
    asked = [
        "vbench2",
        "plan",
        "--root",
        str(root),
        "--out",
        out,
        "--mb-per-video",
        "100",
        "--seconds-per-video",
        "360",
    ]
    assert main(asked) == 0
    shown = capsys.readouterr()
    assert "tested with" in shown.err
    assert [line.split()[-3:] for line in shown.out.splitlines() if line.startswith("in all")] == [
        ["29", "2.90", "2.90"]
    ]
    assert "4 prompts, 29 videos" in shown.out
    assert "not leaderboard scores" in shown.out
    assert len(read_plan(out).entries) == 29


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--dimensions", "Camera_motion"], "did you mean 'Camera_Motion'"),
        (["--per-dimension", "0"], "at least 1"),
        (["--seed", "-1"], "--seed"),
        (["--dimensions", "Material"], "no prompt for dimension Material"),
        (["--prompts", "vbench2"], "--prompts short"),
    ],
)
def test_a_mistake_is_one_line_and_no_file(more, words, tmp_path, capsys):
    root, out = make_root(tmp_path / "root"), tmp_path / "plan.json"
    assert main(["vbench2", "plan", "--root", str(root), "--out", str(out), *more]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert words in error
    assert not out.exists()


@pytest.mark.skipif(REAL is None, reason="VBENCH2_ROOT does not name a checkout of VBench-2.0")
def test_the_real_checkout_gives_the_published_counts(tmp_path):
    checkout = read_checkout(REAL)
    for prompts in ("short", "wanx", "vbench2"):
        plan = make_plan(checkout, prompts)
        counts = plan.counts()
        assert (counts["prompts"], counts["videos"], counts["videos_in_dimension_folders"]) == (1013, 3209, 3860)
        assert plan.complete
        assert sum(len(entry.prompt) > 180 for entry in plan.entries if entry.index == 0) == 100
        assert sum(entry.name.endswith(" -0.mp4") for entry in plan.entries) == 20
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan


def test_the_fake_list_is_as_its_tests_assume():
    assert len(LONG) > 180
    assert sum(map(len, PROMPTS.values())) == 6
