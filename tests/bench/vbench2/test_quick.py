"""VBench 1.0's flickering: by a made-up package here, by the real one where `VBENCH_PYTHON` names its interpreter."""

from __future__ import annotations

import json
import os
import sys

import av
import numpy as np
import pytest

from bench.__main__ import main
from tests.bench.vbench2.fake import clip

REAL = os.environ.get("VBENCH_PYTHON")
PACKAGE = """
import json, os
class VBench:
    def __init__(self, device, info, out):
        assert device == "cpu"
        self.out = out
    def evaluate(self, videos, name, dimension_list, mode):
        assert (dimension_list, mode) == (["temporal_flickering"], "custom_input")
        names = sorted(n for n in os.listdir(videos) if b"unreadable" not in open(f"{videos}/{n}", "rb").read())
        values = [(len(open(f"{videos}/{n}", "rb").read()) % 100) / 100 for n in names]
        os.makedirs(self.out)
        found = [{"video_path": f"{videos}/{n}", "video_results": v} for n, v in zip(names, values)]
        with open(f"{self.out}/{name}_eval_results.json", "w") as stream:
            json.dump({"temporal_flickering": [sum(values) / len(values), found]}, stream)
"""


@pytest.fixture(name="python")
def _python(tmp_path):
    """An interpreter that finds the made-up package."""
    (tmp_path / "packages" / "vbench").mkdir(parents=True)
    (tmp_path / "packages" / "vbench" / "__init__.py").write_text(PACKAGE)
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path / "packages"} exec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


def make(folder, **arms):
    """{arm: {name: bytes}} as files."""
    for arm, held in arms.items():
        (folder / arm).mkdir(parents=True)
        for name, content in held.items():
            (folder / arm / name).write_bytes(content)
    return str(folder)


def test_means_and_paired_differences(python, tmp_path, capsys):
    teacher = {"a-0.mp4": b"x" * 60, "a-1.mp4": b"x" * 80, "b-0.mp4": b"x" * 50, "note.txt": b"no video"}
    student = {"a-0.mp4": b"x" * 50, "a-1.mp4": b"x" * 70, "b-0.mp4": b"x" * 20, "c-0.mp4": b"x" * 9}
    videos = make(tmp_path / "videos", teacher=teacher, student=student)
    asked = ["vbench2", "quick", "--videos", videos, "--control", "teacher", "--python", python]
    assert main([*asked, "--json"]) == 0
    rows = {row["arm"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["teacher"]["temporal_flickering"] == pytest.approx((0.6 + 0.8 + 0.5) / 3)
    assert rows["student"]["delta"] == pytest.approx((-0.1 - 0.3) / 2)
    assert (rows["student"]["prompts"], rows["student"]["left_out"]) == (2, 1)
    assert main(asked) == 0
    assert "-0.20000" in capsys.readouterr().out


def test_a_video_that_vbench_leaves_out_is_named(python, tmp_path, capsys):
    videos = make(tmp_path / "videos", teacher={"a-0.mp4": b"x", "b-0.mp4": b"unreadable"})
    assert main(["vbench2", "quick", "--videos", videos, "--python", python]) == 2
    error = capsys.readouterr().err
    assert "'b-0.mp4'" in error
    assert error.count("\n") == 1


def test_without_the_package_one_line_says_how_to_get_it(tmp_path, capsys):
    videos = make(tmp_path / "videos", teacher={"a-0.mp4": b"x"})
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho \"No module named 'vbench'\"; exit 1\n")
    broken.chmod(0o755)
    assert main(["vbench2", "quick", "--videos", videos, "--python", str(broken)]) == 2
    error = capsys.readouterr().err
    assert "pip install --no-deps vbench==0.1.5" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--control", "x"], "no arm 'x'"),
        (["--videos", "/nowhere"], "does not exist"),
        (["--python", "/no"], "no program"),
    ],
)
def test_a_mistake_is_one_line(more, words, tmp_path, capsys):
    videos = make(tmp_path / "videos", teacher={"a-0.mp4": b"x"})
    assert main(["vbench2", "quick", "--videos", videos, *more]) == 2
    assert words in capsys.readouterr().err


def test_an_arm_without_videos_is_one_line(tmp_path, capsys):
    videos = make(tmp_path / "videos", teacher={"a.txt": b"x"})
    assert main(["vbench2", "quick", "--videos", videos]) == 2
    assert "no .mp4 file" in capsys.readouterr().err


@pytest.mark.skipif(REAL is None, reason="VBENCH_PYTHON does not name an interpreter with the package vbench")
def test_the_real_package_gives_the_mean_change_of_frames(tmp_path, capsys):
    videos = make(tmp_path / "videos", teacher={"a-0.mp4": clip(5), "b-0.mp4": clip(5, level=60)})
    assert main(["vbench2", "quick", "--videos", videos, "--python", REAL, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    values = []
    for name in ("a-0.mp4", "b-0.mp4"):
        with av.open(str(tmp_path / "videos" / "teacher" / name)) as container:
            frames = np.stack([f.to_ndarray(format="bgr24") for f in container.decode(video=0)]).astype(float)
        values.append((255 - np.abs(np.diff(frames, axis=0)).mean()) / 255)
    assert 0.9 < np.mean(values) < 1
    assert row["temporal_flickering"] == pytest.approx(np.mean(values), abs=1e-6)
