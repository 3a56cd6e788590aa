"""Batches by number: the same in every process and after every kill; clips, latents, or both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.cache import Cache
from bench.data import ClipItem, ClipSet
from bench.lessons import Lessons
from bench.spec import PhaseChoice
from flash_vaed import Decoder, Teacher, save_latents
from flash_vaed.families.wan import wan_spec
from flash_vaed.patch_encoder import PatchEncoder
from tests.bench.examples import SPEC
from tests.flash_vaed.examples import FOUR_CHANNELS

CPU = torch.device("cpu")
JOINT = PhaseChoice("joint", 10, (("frames", None),))


@pytest.fixture(autouse=True)
def clips(monkeypatch):
    """Two clips of noise behind the name that the spec gives."""

    def item(name: str, seed: int) -> ClipItem:
        frames = np.random.default_rng(seed).integers(0, 256, (20, 40, 56, 3), dtype=np.uint8)
        return ClipItem(name, lambda start, stop, stride, short_side: frames[start:stop:stride])

    monkeypatch.setattr("bench.lessons.open_clips", lambda *_: ClipSet("s", "train", [item("a", 0), item("b", 1)]))


@pytest.fixture
def teacher() -> Teacher:
    torch.manual_seed(0)
    decoder = Decoder(wan_spec(8, (1, 2, 2, 2), 1, latents=FOUR_CHANNELS)).eval()
    encoder = PatchEncoder(4)
    encoder.fit([torch.rand(2, 3, 9, 64, 64) * 2 - 1])
    return Teacher("small", decoder, encoder.requires_grad_(False))


def lessons(teacher, tmp_path, phase: PhaseChoice = JOINT, seed: int = 0, **distill) -> Lessons:
    settings = {"size": 16, "frames": (5,), **distill}
    spec = replace(SPEC, seed=seed, distill=replace(SPEC.distill, **settings))
    return Lessons(spec, phase, teacher, CPU, Cache(tmp_path / "cache", pytest.fail))


def test_a_batch_is_a_clip_and_its_latents(teacher, tmp_path):
    batch = lessons(teacher, tmp_path)(0, range(2))
    assert batch.latents.shape == (2, 4, 2, 2, 2)
    assert batch.source().shape == (2, 3, 5, 16, 16)
    assert torch.equal(teacher.encode(batch.source()), batch.latents)


def test_a_batch_is_its_number_and_can_be_split(teacher, tmp_path):
    whole = lessons(teacher, tmp_path)(7, range(4)).latents
    later = lessons(teacher, tmp_path)
    later(3, range(4))
    assert torch.equal(torch.cat([later(7, [item]).latents for item in range(4)]), whole)
    for other in (later(8, range(4)), lessons(teacher, tmp_path, seed=1)(7, range(4))):
        assert not torch.equal(other.latents, whole)
    another_phase = lessons(teacher, tmp_path, replace(JOINT, name="refine"))(7, range(4))
    assert not torch.equal(another_phase.latents, whole)


def test_lengths_are_drawn_per_batch_unless_the_phase_has_its_own(teacher, tmp_path):
    several = lessons(teacher, tmp_path, frames=(1, 5, 9))
    assert {several(index, [0, 1]).latents.shape[2] for index in range(20)} == {1, 2, 3}
    own = lessons(teacher, tmp_path, PhaseChoice("refine", 5, (("frames", 17),)), frames=(1, 5))
    assert {own(index, [0]).latents.shape[2] for index in range(5)} == {5}


def test_a_pool_repeats_its_crops_and_keeps_their_latents(teacher, tmp_path):
    pooled = lessons(teacher, tmp_path, pool=3, batch=2)
    first = [pooled(index, range(2)) for index in range(3)]
    assert torch.equal(first[0].latents[0], first[1].latents[1]), "item 3 is item 0 again"
    torch.testing.assert_close(teacher.encode(first[1].source()), first[1].latents)
    assert len(list((tmp_path / "cache" / "latents").iterdir())) == 3
    blind = Teacher("small", teacher.decoder, lambda x: pytest.fail("encoded again"))
    again = lessons(blind, tmp_path, pool=3, batch=2)
    assert all(torch.equal(again(index, range(2)).latents, first[index].latents) for index in range(3))
    refine = lessons(blind, tmp_path, replace(JOINT, name="refine"), pool=3, batch=2)
    refine(0, range(2))


def test_latents_alone_come_for_their_share_of_the_batches(teacher, tmp_path):
    save_latents(torch.full((1, 4, 3, 4, 4), 7.0), tmp_path / "z.pt")
    mixed = lessons(teacher, tmp_path, latents=str(tmp_path / "z.pt"), latent_share=0.5)
    batches = [mixed(index, range(2)) for index in range(40)]
    alone = [batch for batch in batches if batch.source is None]
    assert 8 < len(alone) < 32
    assert all((batch.latents == 7).all() and batch.latents.shape == (2, 4, 2, 2, 2) for batch in alone)
    only = lessons(teacher, tmp_path, latents=str(tmp_path / "z.pt"), latent_share=1.0)
    assert all(only(index, [0]).source is None for index in range(10))


def test_what_was_put_aside_is_told(teacher, tmp_path):
    (tmp_path / "dump").mkdir()
    save_latents(torch.zeros(1, 4, 3, 4, 4), tmp_path / "dump" / "good.pt")
    save_latents(torch.zeros(1, 4, 1, 4, 4), tmp_path / "dump" / "short.pt")
    mixed = lessons(teacher, tmp_path, latents=str(tmp_path / "dump"), latent_share=1.0)
    for index in range(10):
        mixed(index, [0, 1])
    assert [item.name for item in mixed.skipped] == ["short.pt"]
