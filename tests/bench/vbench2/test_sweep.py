"""The evaluator of somebody else: what it can do wrong is told in one line, the rest goes on, nothing is done twice."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.vbench2.plan import read_plan, write_plan
from bench.vbench2.sweep import RECORD, folder_of_videos
from tests.bench.vbench2.fake import calls, clip, control, make_root, make_videos, plan_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(name="place")
def _place(tmp_path):
    root = make_root(tmp_path / "root")
    plan = plan_of(root)
    write_plan(plan, tmp_path / "plan.json")
    make_videos(tmp_path / "videos", plan, "student", "teacher")
    return tmp_path


def asked(place, *more):
    places = {"root": "root", "plan": "plan.json", "videos": "videos", "out": "out"}
    given = [text for name, value in places.items() for text in (f"--{name}", str(place / value))]
    return ["vbench2", "run", *given, "--python", sys.executable, *more]


def test_every_dimension_of_every_arm_runs_once(place, capsys):
    assert main(asked(place)) == 0
    shown = capsys.readouterr().out
    assert shown.count("ok ") == 6
    started = calls(place / "root")
    assert [call[0] for call in started] == ["Diversity", "Camera_Motion", "Human_Identity"] * 2
    assert all(call[2] is None for call in started)  # the whole list: VBench's own
    laid = Path(started[2][1])
    assert (laid.name, laid.parent.parent) == ("Human_Identity", place / "out" / "student" / "videos")
    assert len(list(laid.iterdir())) == 9
    assert len({Path(call[1]).parent.name for call in started}) == 2
    assert main(asked(place)) == 0
    assert capsys.readouterr().out.count("stored") == 6
    assert len(calls(place / "root")) == 6


def test_a_subset_gets_a_list_of_its_own_prompts(place, capsys):
    plan = plan_of(place / "root", per_dimension=1)
    write_plan(plan, place / "part.json")
    assert main([*asked(place, "--arm", "student"), "--plan", str(place / "part.json")]) == 0
    listed = {call[0]: call[2] for call in calls(place / "root")}
    assert listed["Diversity"] is None  # one prompt is all it has
    records = json.loads(Path(listed["Human_Identity"]).read_text())
    assert [record["prompt_en"] for record in records] == [plan.of("Human_Identity")[0].prompt]
    assert records[0]["auxiliary_info"] == "zoom_in"
    assert "of 3 values" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("crash", "exit code 1; log: about to fail | CUDA error: device on fire"),
        ("kill", "ended by SIGKILL"),
        ("omit", "left without a result"),
        ("torn", "not JSON"),
        ("nan", "nan, not a number"),
        ("wrong score", "the mean of its values is"),
        ("short", "1 of 9 videos have no value"),
        ("all invalid", "VBench divides by the number of valid videos"),
    ],
)
def test_what_fails_is_one_line_the_rest_goes_on_and_is_repeated_alone(how, words, place, capsys):
    control(place / "root", **{"student/Human_Identity": how})
    assert main(asked(place, "--dimension", "Human_Identity", "--dimension", "Camera_Motion")) == 1
    shown = capsys.readouterr().out
    failed = [line for line in shown.splitlines() if line.startswith("failed")]
    assert len(failed) == 1
    assert words in failed[0]
    assert "Human_Identity.log" in failed[0]
    assert shown.count("ok ") == 3
    control(place / "root")
    again = shlex.split(shown.splitlines()[-1])
    assert again[-4:] == ["--arm", "student", "--dimension", "Human_Identity"]
    before = len(calls(place / "root"))
    assert main(again[3:]) == 0
    assert len(calls(place / "root")) == before + 1
    assert (place / "out" / "student" / "earlier" / "Human_Identity-1").is_dir()  # nothing was deleted


@pytest.mark.parametrize(("how", "words"), [("deep", "of 9 values"), ("invalid", "1 invalid")])
def test_what_is_only_unusual_is_taken(how, words, place, capsys):
    control(place / "root", Human_Identity=how)
    assert main(asked(place, "--arm", "student", "--dimension", "Human_Identity")) == 0
    assert words in capsys.readouterr().out
    assert main(asked(place, "--arm", "student", "--dimension", "Human_Identity")) == 0
    assert len(calls(place / "root")) == 1


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_for(condition) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s, "waited for nothing"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_a_hang_is_ended_with_all_it_started(place, capsys):
    control(place / "root", Human_Identity="hang")
    asked_for = asked(place, "--arm", "student", "--dimension", "Human_Identity", "--timeout-s", "1.5")
    assert main(asked_for) == 1
    assert "stopped after --timeout-s 1.5; log: waiting" in capsys.readouterr().out
    child = int((place / "root" / "child.pid").read_text())
    _wait_for(lambda: not _alive(child))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal on a parent's death")
def test_a_killed_sweep_keeps_what_is_finished_and_goes_on(place):
    control(place / "root", Human_Identity="hang")
    asked_for = asked(place, "--arm", "student", "--dimension", "Camera_Motion", "--dimension", "Human_Identity")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    sweep = subprocess.Popen([sys.executable, "-m", "bench", *asked_for], env=environment, stdout=subprocess.DEVNULL)
    _wait_for((place / "root" / "child.pid").exists)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    try:
        _wait_for(lambda: not _alive(int((place / "root" / "self.pid").read_text())))
        control(place / "root")
        assert main(asked_for) == 0
    finally:
        os.kill(int((place / "root" / "child.pid").read_text()), signal.SIGKILL)
    assert [call[0] for call in calls(place / "root")] == ["Camera_Motion", "Human_Identity", "Human_Identity"]


def test_a_changed_video_makes_its_dimensions_run_again(place, capsys):
    assert main(asked(place)) == 0
    entry = next(e for e in read_plan(place / "plan.json").entries if e.dimensions == ("Camera_Motion",))
    (place / "videos" / "student" / entry.name).write_bytes(clip(3, level=60))
    capsys.readouterr()
    assert main(asked(place)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines if "stored" not in line] == ["Camera_Motion:"]


def test_nothing_starts_while_a_video_is_missing_in_any_arm(place, capsys):
    next((place / "videos" / "teacher").iterdir()).unlink()
    assert main(asked(place)) == 2
    assert "teacher: 1 of 29 videos missing" in capsys.readouterr().err
    assert calls(place / "root") == []


def test_a_plan_of_other_prompts_is_refused_before_anything_starts(place, capsys):
    make_root(
        place / "other", {"Camera_Motion": ["Garden, zoom in."], "Human_Identity": ["A man."], "Diversity": ["B"]}
    )
    assert main([*asked(place), "--root", str(place / "other")]) == 2
    assert "lacks prompts of the plan in Diversity" in capsys.readouterr().err
    assert calls(place / "other") == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--dimension", "Material"], "the plan has no videos for Material"),
        (["--dimension", "Camera"], "did you mean"),
        (["--arm", "other"], "no arm 'other'; found: student, teacher"),
        (["--python", "no-such-python"], "no program"),
        (["--timeout-s", "0"], "above 0"),
        (["--out", "{place}/videos/out"], "must not lie in each other"),
        (["--videos", "{place}/none"], "does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(more, words, place, capsys):
    assert main(asked(place, *(text.format(place=place) for text in more))) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert words in error
    assert calls(place / "root") == []


def test_results_say_whose_videos_they_are_of(tmp_path):
    for arm, dimension, folder in (("a", "Material", "run-1"), ("b", "Material", "run-1")):
        place = tmp_path / arm / "results" / dimension
        place.mkdir(parents=True)
        (place / RECORD).write_text(json.dumps({"folder": folder}))
    assert folder_of_videos(tmp_path, ("a", "b")) == "run-1"
    (tmp_path / "b" / "results" / "Material" / RECORD).write_text(json.dumps({"folder": "run-2"}))
    assert folder_of_videos(tmp_path, ("a", "b")) is None
    assert folder_of_videos(tmp_path, ("a",)) == "run-1"
    (tmp_path / "a" / "results" / "Material" / RECORD).write_text("torn")
    assert folder_of_videos(tmp_path, ("a",)) is None
