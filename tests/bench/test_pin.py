"""What names stand for is settled before the first run: weights that are there or not, latents by their files."""

from __future__ import annotations

import pytest
import torch

from bench.config import compose, to_config, to_run_spec
from bench.pin import pin
from bench.schema import Config
from bench.spec import RunSpec
from flash_vaed import save_latents


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
