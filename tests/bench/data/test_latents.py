"""Latent dumps: any crop by its number, from the start of a clip, and honest about files that cannot be used."""

from __future__ import annotations

import pytest
import torch

from bench.data import LatentDump
from flash_vaed import save_latents


@pytest.fixture
def folder(tmp_path):
    for index, (t, side) in enumerate([(3, 8), (5, 12)]):
        z = torch.arange(t).view(1, 1, t, 1, 1).expand(2, 4, t, side, side) + 10.0 * index
        save_latents(z, tmp_path / f"z{index}.safetensors")
    save_latents(torch.zeros(1, 7, 5, 12, 12), tmp_path / "other.pt")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "torn.pt").write_bytes(b"PK\x03\x04torn")
    (tmp_path / "notes.txt").write_text("not latents")
    return tmp_path


def test_crops_have_the_asked_shape_and_begin_with_the_first_latent(folder):
    dump = LatentDump(folder, 4)
    for seed in range(20):
        z = dump.crop(seed, 3, 8)
        assert z.shape == (4, 3, 8, 8)
        assert z.dtype == torch.float32
        assert (z[:, :, 0, 0] % 10 == torch.arange(3.0)).all()


def test_a_crop_is_its_number(folder):
    first, second = LatentDump(folder, 4), LatentDump(folder, 4)
    second.crop(99, 5, 8)
    assert all(torch.equal(first.crop(seed, 3, 8), second.crop(seed, 3, 8)) for seed in range(8))


def test_what_cannot_be_used_is_named_and_passed_over(folder):
    dump = LatentDump(folder, 4)
    for seed in range(40):
        assert dump.crop(seed, 5, 8)[0, 0, 0, 0] == 10, "the other file has three latents only"
    reasons = {file.name: file.reason for file in dump.skipped}
    assert set(reasons) == {"z0.safetensors", "other.pt", "deep/torn.pt"}
    assert "training needs at least (4, 5, 8, 8)" in reasons["z0.safetensors"]


def test_nothing_to_use_is_one_clear_line(folder, tmp_path):
    with pytest.raises(ValueError, match="no latents can be used for training"):
        LatentDump(folder, 4).crop(0, 50, 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no latents at .*empty"):
        LatentDump(tmp_path / "empty", 4)


def test_a_file_that_changed_size_is_another_dump(folder):
    before = LatentDump(folder, 4).fingerprint
    assert LatentDump(folder, 4).fingerprint == before
    save_latents(torch.zeros(1, 4, 9, 8, 8), folder / "z0.safetensors")
    assert LatentDump(folder, 4).fingerprint != before
