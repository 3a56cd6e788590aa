"""Results are believed when they are whole, finite, complete and the mean of their own values."""

from __future__ import annotations

import json

import pytest

from bench.vbench2.scores import mean, read_score

NAMES = ("a -0.mp4", "a -1.mp4", "a -2.mp4")


def write(path, values, score=None, dimension="Human_Identity", names=NAMES):
    valid = [value for value in values if value != -1]
    score = sum(valid) / len(valid) if score is None else score
    found = [{"video_path": f"/x/y/{n}", "video_results": v} for n, v in zip(names, values, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({dimension: [score, found]}))


def read(folder, dimension="Human_Identity", invalid=True, names=NAMES):
    return read_score(folder, dimension, names, invalid)


@pytest.mark.parametrize("below", [".", "model", "vbench2_videos/model"])
def test_a_result_is_found_two_folders_deep_and_no_deeper(below, tmp_path):
    write(tmp_path / below / "results_x_eval_results.json", [0.5, -1, 1])
    (tmp_path / below / "results_x_full_info.json").write_text("[]")
    score = read(tmp_path)
    assert score.value == 0.75
    assert score.values == {"a -0.mp4": 0.5, "a -1.mp4": None, "a -2.mp4": 1.0}
    assert score.invalid == 1
    assert read(tmp_path.parent / "none") is None
    write(tmp_path / "1/2/3/x.json", [0, 0, 0])
    assert read(tmp_path).value == 0.75


def test_minus_one_is_a_mark_in_seven_dimensions_only(tmp_path):
    write(tmp_path / "r.json", [0.5, -1, 1])
    with pytest.raises(ValueError, match=r"'a -1.mp4' is -1, outside"):
        read(tmp_path, invalid=False)


def test_the_rule_of_motion_order_understanding():
    assert mean("Motion_Order_Understanding", [None] * 19 + [1.0]) == 0.0
    assert mean("Motion_Order_Understanding", [None] * 9 + [1.0]) == 1.0
    assert mean("Human_Identity", [None] * 19 + [1.0]) == 1.0


def test_no_valid_video_is_said_and_not_divided(tmp_path):
    write(tmp_path / "r.json", [-1, -1, -1], score=0)
    score = read(tmp_path)
    assert score.value is None
    assert score.invalid == 3


@pytest.mark.parametrize(
    ("values", "score", "words"),
    [
        ([float("nan"), 0, 1], 0.5, "nan, not a number"),
        ([float("inf"), 0, 1], 0.5, "inf, not a number"),
        (["0.5", 0, 1], 0.5, "'0.5', not a number"),
        ([True, 0, 1], 0.5, "True, not a number"),
        ([None, 0, 1], 0.5, "None, not a number"),
        ([1.5, 0, 1], 0.8, "1.5, outside [0, 1]"),
        ([-0.5, 0, 1], 0.2, "-0.5, outside"),
        ([0, 0, 1], float("nan"), "its score is nan"),
        ([0, 0, 1], -1, "its score is -1, outside"),
        ([0, 0.5, 1], 0.51, "said to be 0.510000, but the mean of its values is 0.500000"),
        ([-1, 0.5, 1], 0.5, "mean of its values is 0.75"),
    ],
)
def test_a_wrong_number_is_refused_with_the_files_name(values, score, words, tmp_path):
    write(tmp_path / "r.json", values, score)
    with pytest.raises(ValueError, match=r"r\.json") as caught:
        read(tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"Human_Identity": [0.5', "not JSON"),
        ('{"Human_Identity": 0.5}', "not [score, [values]]"),
        ('{"Human_Identity": [0.5, []]}', "no values"),
        ('{"Human_Identity": [0.5, [{"video_path": "a"}]]}', "without video_path and video_results"),
        ('{"Human_Identity": [0.5, [{"video_path": "x/a", "video_results": 0.5}, '
         '{"video_path": "y/a", "video_results": 0.5}]]}', "two values for 'a'"),
    ],
)  # fmt: skip
def test_a_damaged_result_is_refused(text, words, tmp_path):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ValueError, match=r"r\.json") as caught:
        read(tmp_path)
    assert words in str(caught.value)


def test_other_videos_than_the_plans_are_refused(tmp_path):
    write(tmp_path / "r.json", [0, 0, 1])
    with pytest.raises(ValueError, match=r"1 of 4 videos have no value, such as 'b'"):
        read(tmp_path, names=(*NAMES, "b"))
    with pytest.raises(ValueError, match=r"other videos, such as 'a -2\.mp4'"):
        read(tmp_path, names=NAMES[:2])
    with pytest.raises(ValueError, match="have no value"):
        read(tmp_path, names=[name.replace(" ", "") for name in NAMES])


def test_two_results_must_be_the_same(tmp_path):
    write(tmp_path / "a.json", [0, 0, 1])
    write(tmp_path / "b" / "a.json", [0, 0, 1])
    assert read(tmp_path).value == pytest.approx(1 / 3)
    write(tmp_path / "b" / "a.json", [0, 1, 1])
    with pytest.raises(ValueError, match="two results for Human_Identity differ"):
        read(tmp_path)
