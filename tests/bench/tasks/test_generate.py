"""The task of generating: paired quality on the same latents, times that add up, and nothing made twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.cache import Cache
from bench.calibration import Calibration
from bench.hosts.base import HOSTS
from bench.spec import Arm, Prompts, Runtime, Timing
from bench.tasks import Lineup, Making
from bench.tasks.generate import generate
from bench.timing import TimingPlan
from flash_vaed import save_decoder
from flash_vaed.families.wan import wan_spec
from flash_vaed.video_files import read_video
from tests.bench.examples import SPEC
from tests.bench.hosts.examples import CHOICE, FakeHost, small_teacher
from tests.flash_vaed.examples import random_decoder

EAGER = Runtime("eager", "float32", None, True)
ARMS = tuple(Arm(name, name, "ours", EAGER) for name in ("own", "copy", "student"))
SPEC = dataclasses.replace(
    SPEC, task="generate", metrics=(("psnr", "1"), ("sharpness", "1")), arms=ARMS, host=CHOICE,
    prompts=Prompts(("a cat", "a dog"), None, None, 1),
    timing=Timing(5, 32, 32, warmup_s=0.0, min_blocks=2, max_blocks=2, max_seconds=0.0),
)  # fmt: skip


@pytest.fixture(autouse=True)
def hosts(monkeypatch) -> Iterator[list[FakeHost]]:
    """The hosts that were started; the calibration is not measured here."""
    started: list[FakeHost] = []

    class Watched(FakeHost):
        def __init__(self, given):
            super().__init__(given)
            started.append(self)

    known = HOSTS.get
    quick = Calibration({"float32": 1e9}, 1e9, 1e-5)
    monkeypatch.setattr("bench.tasks.generate.calibrate", lambda device, dtypes: quick)
    monkeypatch.setattr("bench.tasks.generate.FIRST_FRAME_PLAN", TimingPlan(0.0, 1, 1, 0.0))
    monkeypatch.setattr(HOSTS, "get", lambda name: Watched if name == "fake" else known(name))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield started
    torch.set_num_threads(threads)


def lineup(folder: Path, **changed) -> Lineup:
    spec = dataclasses.replace(SPEC, **changed)
    student = random_decoder(small_teacher().spec, seed=4)
    making = Making(small_teacher, lambda: student, Cache(folder / "cache", print), folder / "videos")
    return Lineup("run", spec, torch.device("cpu"), {}, {}, lambda line: None, making)


def values(rows: list[dict], metric: str, arm: str) -> list[float]:
    return [row["value"] for row in rows if row["metric"] == metric and row["arm"] == arm]


def test_what_a_run_of_three_arms_gives(tmp_path, hosts):
    rows = list(generate(lineup(tmp_path)))
    assert values(rows, "psnr", "own") == [100.0, 100.0]
    assert min(values(rows, "psnr", "copy")) > 90
    assert max(values(rows, "psnr", "student")) < 40
    judged = [row for row in rows if row["metric"] == "psnr"]
    assert {row["against"] for row in judged} == {"own"}
    assert {row["clip"] for row in judged} == {"a cat-0.mp4", "a dog-0.mp4"}
    for arm in ("own", "copy", "student"):
        for part in ("text_s", "denoise_s", "decode_s", "write_s", "end_to_end_s"):
            assert len(values(rows, part, arm)) == 4, (part, arm)
            assert all(value > 0 for value in values(rows, part, arm)) or part == "text_s"
        assert len(values(rows, "first_frame_s", arm)) == 2
        assert values(rows, "peak_memory_bytes", arm)
        assert values(rows, "accepted", arm)
        video = read_video(tmp_path / "videos" / "run" / arm / "a dog-0.mp4")
        assert video.frames_THWC.shape == (5, 32, 32, 3)
        assert video.fps == 8
    assert values(rows, "text_s", "own") == values(rows, "text_s", "student")


def test_latents_are_generated_once_and_videos_are_not_made_again(tmp_path, hosts):
    first = list(generate(lineup(tmp_path)))
    videos = {path: path.stat().st_mtime_ns for path in tmp_path.glob("videos/run/*/*.mp4")}
    assert len(videos) == 6
    assert len(list(tmp_path.glob("videos/latents-*/*.safetensors"))) == 2
    before = hosts[0].denoised
    again = list(generate(lineup(tmp_path)))
    assert hosts[1].denoised == before - 2  # those of the timing, not those of the two videos
    assert {path: path.stat().st_mtime_ns for path in videos} == videos
    assert values(again, "psnr", "student") == values(first, "psnr", "student")


def test_a_lost_video_is_made_again_from_the_stored_latents(tmp_path, hosts):
    first = list(generate(lineup(tmp_path)))
    lost = tmp_path / "videos" / "run" / "student" / "a cat-0.mp4"
    content = lost.read_bytes()
    lost.unlink()
    again = list(generate(lineup(tmp_path)))
    assert lost.read_bytes() == content
    assert values(again, "psnr", "student") == values(first, "psnr", "student")


def test_latents_from_elsewhere_are_taken(tmp_path, hosts):
    list(generate(lineup(tmp_path)))
    for path in tmp_path.glob("videos/run/*/*.mp4"):
        path.unlink()
    before = hosts[0].denoised
    list(generate(lineup(tmp_path, seed=1)))
    assert hosts[1].denoised == before - 2


def test_another_decoder_is_judged_anew(tmp_path):
    first = list(generate(lineup(tmp_path)))
    save_decoder(random_decoder(small_teacher().spec, seed=8), tmp_path / "other")
    arms = (ARMS[0], Arm("student", str(tmp_path / "other"), "ours", EAGER))
    again = list(generate(lineup(tmp_path, arms=arms)))
    assert values(again, "psnr", "student") != values(first, "psnr", "student")


def test_a_decoder_of_other_latents_is_refused_before_anything_is_generated(tmp_path, monkeypatch, hosts):
    pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed, without which there are no pipelines")
    save_decoder(random_decoder(wan_spec(4, blocks_per_stage=1)), tmp_path / "other")
    arms = (ARMS[0], Arm("other", str(tmp_path / "other"), "ours", EAGER))
    with pytest.raises(ValueError, match="makes latents of 4 channels, 4 x 8 x 8 pixels"):
        list(generate(lineup(tmp_path, arms=arms, host=dataclasses.replace(CHOICE, name="tiny_wan"))))
    assert not (tmp_path / "videos").exists()


def test_the_bundled_decoder_can_be_an_arm(tmp_path, monkeypatch):
    bundled = random_decoder(small_teacher().spec, seed=6)
    monkeypatch.setattr("bench.programs.base.load_teacher", lambda name: SimpleNamespace(decoder=bundled))
    rows = list(generate(lineup(tmp_path, arms=(ARMS[0], Arm("shipped", "bundled", "ours", EAGER)))))
    assert max(values(rows, "psnr", "shipped")) < 40


def test_an_absent_host_says_what_it_lacks(tmp_path):
    with pytest.raises(ValueError, match="needs a fake model"):
        list(generate(lineup(tmp_path, host=dataclasses.replace(CHOICE, model="absent"))))
