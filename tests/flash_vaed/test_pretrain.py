"""Pretraining: it learns, a killed run ends where an unbroken one would, and a foreign snapshot is refused."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from flash_vaed import pretrain as module
from flash_vaed.families.wan import FrameAttention
from flash_vaed.pretrain import PretrainRecipe, pretrain, reconstruction_loss, start_as_resampling_path
from flash_vaed.state import Stream
from tests.flash_vaed.examples import SmoothVideo, psnr, random_decoder, random_latents

RECIPE = PretrainRecipe(
    latent_channels=8, base_channels=4, multipliers=(1, 1, 2, 2), blocks_per_stage=1, overlap=1, fit_batches=8, steps=8,
    warmup=2,
)  # fmt: skip


class Killed(Exception):
    """Stands for a kill at any moment."""


def kill_after(steps: int):
    def progress(done: int, _values: dict[str, float]) -> None:
        if done == steps:
            raise Killed

    return progress


@pytest.fixture
def frequent_snapshots(monkeypatch):
    monkeypatch.setattr(module, "SNAPSHOT_STEPS", 3)


def weights(teacher) -> dict[str, torch.Tensor]:
    return {**teacher.decoder.state_dict(), **{f"encoder.{k}": v for k, v in teacher.encoder.state_dict().items()}}


def assert_equal_weights(one, other) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_training_lowers_the_error():
    recipe = dataclasses.replace(RECIPE, steps=60, muon_decay=0.0)
    teacher, record = pretrain(SmoothVideo(), recipe)
    losses = [loss for _, loss, _ in record.curve]
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.1
    assert [step for step, _, _ in record.curve] == list(range(1, 61))
    assert 0 < record.variance_kept <= 1
    assert record.cpu_s > 0
    x_NCTHW = torch.cat([next(SmoothVideo(seed=5 + i)) for i in range(4)])
    start, _ = pretrain(SmoothVideo(), dataclasses.replace(RECIPE, steps=0))
    before, after = (psnr(t.decoder.decode(t.encode(x_NCTHW)), x_NCTHW) for t in (start, teacher))
    assert after > before + 0.5


def test_the_teacher_owns_its_latents_statistics():
    teacher, _ = pretrain(SmoothVideo(), dataclasses.replace(RECIPE, steps=1))
    source = SmoothVideo(seed=3)
    z_NCthw = torch.cat([teacher.encode(next(source)) for _ in range(40)])
    unit = teacher.decoder.latents.normalize(z_NCthw).transpose(0, 1).flatten(1)
    assert unit.mean(dim=1).abs().max() < 0.5
    assert (unit.std(dim=1) - 1).abs().max() < 0.5
    assert teacher.decoder.latents.channels == RECIPE.latent_channels
    assert not any(parameter.requires_grad for parameter in teacher.decoder.parameters())


@pytest.mark.parametrize("killed_at", [4, 6, 7])
def test_a_killed_run_ends_where_an_unbroken_one_does(tmp_path, frequent_snapshots, killed_at):
    unbroken, record = pretrain(SmoothVideo(), RECIPE)
    snapshot = tmp_path / "snapshot.pt"
    with pytest.raises(Killed):
        pretrain(SmoothVideo(), RECIPE, snapshot, kill_after(killed_at))
    seen: list[int] = []
    resumed, resumed_record = pretrain(SmoothVideo(), RECIPE, snapshot, lambda done, _: seen.append(done))
    assert seen[0] == (4 if killed_at <= 6 else 7)
    assert_equal_weights(resumed, unbroken)
    assert resumed_record.curve == record.curve
    assert resumed.decoder.latents == unbroken.decoder.latents


def test_the_same_seed_gives_the_same_teacher_and_another_seed_another():
    short = dataclasses.replace(RECIPE, steps=2)
    first, second = (pretrain(SmoothVideo(), short)[0] for _ in range(2))
    assert_equal_weights(first, second)
    other, _ = pretrain(SmoothVideo(), dataclasses.replace(short, seed=1))
    assert other.fingerprint != first.fingerprint


def test_a_snapshot_of_another_recipe_is_refused(tmp_path, frequent_snapshots):
    snapshot = tmp_path / "snapshot.pt"
    pretrain(SmoothVideo(), RECIPE, snapshot)
    other = dataclasses.replace(RECIPE, muon_lr=0.01)
    with pytest.raises(ValueError, match="the snapshot belongs to another recipe; delete it or choose another"):
        pretrain(SmoothVideo(), other, snapshot)


def test_a_file_without_a_recipe_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(1)}, tmp_path / "snapshot.pt")
    with pytest.raises(ValueError, match="belongs to another recipe"):
        pretrain(SmoothVideo(), RECIPE, tmp_path / "snapshot.pt")


class BrokenVideo(SmoothVideo):
    """Turns to nothing-a-number behind the patch analysis."""

    def __init__(self) -> None:
        super().__init__()
        self.served = 0

    def __next__(self):
        self.served += 1
        return super().__next__() * (1 if self.served <= RECIPE.fit_batches + 1 else torch.nan)


def test_a_loss_that_is_no_number_stops_the_run():
    with pytest.raises(FloatingPointError, match="the loss is nan at step 1; lower muon_lr"):
        pretrain(BrokenVideo(), RECIPE)


def test_training_starts_as_the_resampling_path():
    decoder = random_decoder()
    start_as_resampling_path(decoder)
    x = decoder.entry(random_latents(1), Stream.fresh())
    assert torch.equal(decoder.stages["mid"](x, Stream.fresh()), x)
    for module_ in decoder.modules():
        if isinstance(module_, FrameAttention):
            assert module_.proj.weight.abs().max() == 0


def test_the_loss_is_lowest_where_the_frames_agree():
    target = next(SmoothVideo())
    losses = [reconstruction_loss(target + error, target).item() for error in (0.0, 0.1, 0.5)]
    assert losses == sorted(losses)
    assert losses[0] < losses[1] < losses[2]
