"""What names stand for is settled before the first run: weights that are there or not, latents by their files."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bench.config import compose, to_config, to_run_spec
from bench.pin import pin
from bench.schema import Config
from bench.spec import Arm, HostChoice, RunSpec, Runtime
from flash_vaed import load_teacher, save_decoder, save_latents
from flash_vaed.decoder import seeded_decoder


def pinned(*overrides: str) -> RunSpec:
    return pin(to_run_spec(to_config(compose(["plan=paper", *overrides]), Config)))


@pytest.fixture
def weights(monkeypatch):
    """Says whether LPIPS's weights are there."""

    def say(reason: str | None) -> None:
        monkeypatch.setattr("bench.pin.lpips_unavailable", lambda path: reason)

    return say


def test_lpips_is_part_of_the_loss_where_its_weights_are(weights):
    weights(None)
    there = pinned("distill.perceptual=auto")
    assert there.distill.perceptual == "lpips"
    weights("they are absent")
    absent = pinned("distill.perceptual=auto")
    assert absent.distill.perceptual == "off"
    assert absent.digest() != there.digest()
    assert absent.digest() == pinned("distill.perceptual=off").digest()


def test_who_insists_on_lpips_hears_before_any_work_that_it_is_absent(weights):
    weights("LPIPS needs what is absent: get it")
    with pytest.raises(ValueError, match=r"distill.perceptual=lpips: LPIPS needs what is absent: get it"):
        pinned("distill.perceptual=lpips")
    assert pinned("distill.perceptual=lpips", "distill=none").distill.phases == ()


def test_latents_are_known_by_their_files_and_not_by_where_they_lie(tmp_path):
    runs = []
    for place, frames in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / place).mkdir()
        save_latents(torch.zeros(1, 48, frames, 8, 8), tmp_path / place / "z.safetensors")
        runs.append(pinned(f"distill.latents={tmp_path / place}").digest())
    assert runs[0] == runs[1] != runs[2]
    with pytest.raises(ValueError, match="no latents at"):
        pinned(f"distill.latents={tmp_path / 'nothing'}")


def test_a_run_that_times_named_decoders_needs_no_clips(monkeypatch):
    """A GPU box or a Jetson that only measures speed has none."""

    def absent(*asked):
        raise ValueError("no clips here")

    monkeypatch.setattr("bench.pin._clips_fingerprint", absent)
    runtime = Runtime("eager", "float32", None, True)
    spec = to_run_spec(to_config(compose(["plan=paper"]), Config))
    timed = replace(spec, task="speed", arms=tuple(Arm(name, name, "ours", runtime) for name in ("taew2.1", "wan2.1")))
    assert pin(timed).data.train_fingerprint == ""
    host = HostChoice("tiny_wan", None, 5, 16, 16, 1, 1.0, 16)
    generated = replace(timed, arms=(*timed.arms, Arm("ours", "student", "ours", runtime)), host=host)
    for needs in (spec, generated):
        with pytest.raises(ValueError, match="no clips here"):
            pin(needs)


GENERATE = ("task=generate", "arms=hosted", "distill=none")


def test_an_arm_is_known_by_its_weights_wherever_they_lie(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_decoder(seeded_decoder(load_teacher("bundled").decoder.spec, seed), tmp_path / name)
    runs = [pinned(*GENERATE, f"arms.student.decoder={tmp_path / name}") for name in "abc"]
    assert runs[0].digest() == runs[1].digest() != runs[2].digest()
    assert runs[0].arms[-1].fingerprint


def test_decoders_that_a_run_makes_have_names_in_hosts_only():
    assert {arm.decoder for arm in pinned(*GENERATE).arms} == {"own", "copy", "student"}
    with pytest.raises(ValueError, match="'own' is no file and no built-in spec"):
        pinned("task=speed", "arms=hosted")
    with pytest.raises(ValueError, match=r"arm student: .* did you mean 'student'"):
        pinned(*GENERATE, "arms.student.decoder=studemt")


def test_what_cannot_be_generated_is_said_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="no file can be named"):
        pinned(*GENERATE, "prompts.texts=[either/or]")
    with pytest.raises(ValueError, match=r"prompts\.texts or from prompts\.file"):
        pinned(*GENERATE, "prompts.texts=[]")
    with pytest.raises(ValueError, match=r"host\.frames is a positive number"):
        pinned(*GENERATE, "host.frames=0")
    save_decoder(load_teacher("bundled").decoder, tmp_path / "own")
    with pytest.raises(ValueError, match="arm student: bundled latents are of 4 k"):
        pinned(*GENERATE, f"arms.student.decoder={tmp_path / 'own'}", "host.frames=16")
