"""Training batches: in range, the same for the same seed, resumable, and honest about clips that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data import ClipItem, ClipSet, CropSampler
from bench.data.decode import DecodeError


def numbered(name: str, frames: int, height: int = 40, width: int = 56, weight: float = 1.0) -> ClipItem:
    """Frame t is uniformly 5 t: a crop tells which frames it holds."""
    clip = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None] * 5, (frames, height, width, 3))

    def load(start, stop, stride, short_side):
        return np.ascontiguousarray(clip[start:stop:stride])

    return ClipItem(name, load, weight=weight)


def noise(name: str, seed: int = 0, shape: tuple[int, ...] = (12, 40, 56, 3)) -> ClipItem:
    clip = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)

    def load(start, stop, stride, short_side):
        return clip[start:stop:stride]

    return ClipItem(name, load)


def broken(name: str) -> ClipItem:
    def load(start, stop, stride, short_side):
        raise DecodeError("is broken")

    return ClipItem(name, load)


def sampler(items: list[ClipItem], **values) -> CropSampler:
    settings = {"frames": 5, "size": 16, "batch": 2, "seed": 0} | values
    return CropSampler(ClipSet("s", "train", items), **settings)


def test_batches_have_the_shape_type_and_range():
    batch = next(sampler([noise("a")], frames=9, size=24, batch=3))
    assert batch.shape == (3, 3, 9, 24, 24)
    assert batch.dtype == torch.float32
    assert batch.min() >= -1
    assert batch.max() <= 1
    assert batch.std() > 0.1


def test_same_seed_same_batches_and_other_seed_others():
    def batches(seed: int) -> torch.Tensor:
        source = sampler([noise("a"), noise("b", 1)], seed=seed)
        return torch.stack([next(source) for _ in range(4)])

    assert torch.equal(batches(3), batches(3))
    assert not torch.equal(batches(3), batches(4))


@pytest.mark.faults
def test_resume_continues_the_sequence_exactly():
    items = [noise("a"), broken("x"), noise("b", 1)]
    source = sampler(items)
    for _ in range(5):
        next(source)
    state = source.state_dict()
    expected = [next(source) for _ in range(4)]
    resumed = sampler(items, seed=99)
    resumed.load_state_dict(state)
    assert all(torch.equal(a, next(resumed)) for a in expected)
    assert resumed.skipped == source.skipped


def test_state_survives_torch_save_without_pickled_classes(tmp_path):
    source = sampler([noise("a"), broken("x")])
    next(source)
    torch.save(source.state_dict(), tmp_path / "state.pt")
    source.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))


@pytest.mark.faults
def test_state_of_other_clips_is_refused():
    with pytest.raises(ValueError, match="other clips"):
        sampler([noise("a")]).load_state_dict(sampler([noise("b")]).state_dict())


def test_frames_are_consecutive_or_evenly_spaced_and_cover_every_start():
    source = sampler([numbered("a", 12)], frames=5, max_stride=2, batch=1)
    strides, starts = set(), set()
    for _ in range(200):
        index_T = ((next(source)[0, 0, :, 0, 0] + 1) * 127.5 / 5).round().int()
        steps = set(index_T.diff().tolist())
        assert len(steps) == 1
        strides |= steps
        starts.add(int(index_T[0]))
    assert strides == {1, 2}
    assert starts == set(range(8))


def test_a_clip_just_long_enough_uses_stride_one():
    batch = next(sampler([numbered("a", 5)], frames=5, max_stride=3, batch=8))
    assert torch.allclose(batch[:, 0, :, 0, 0], (torch.arange(5) * 5 / 127.5 - 1).expand(8, 5))


def test_a_clip_smaller_than_the_crop_is_enlarged():
    batch = next(sampler([noise("a", shape=(6, 10, 12, 3))], size=16))
    assert batch.shape[-2:] == (16, 16)


def test_unusable_clips_are_named_once_and_never_drawn_again():
    source = sampler([broken("x"), numbered("short", 3), numbered("good", 9)], batch=1)
    for _ in range(50):
        next(source)
    assert sorted((clip.name, clip.reason) for clip in source.skipped) == [
        ("short", "is too short: 3 frames, training needs 5"),
        ("x", "is broken"),
    ]


def test_nothing_usable_is_an_error_that_says_why():
    with pytest.raises(ValueError, match="no clip of s can be used for training: x is broken"):
        next(sampler([broken("x")]))


def test_weights_decide_how_often_a_clip_is_drawn():
    dark, bright = numbered("dark", 5, weight=1.0), noise("noise")
    source = sampler([dark, ClipItem("noise", bright.load, weight=3.0)], batch=1)
    noisy = sum(bool(next(source).std(dim=(-1, -2)).max() > 0.1) for _ in range(300))
    assert 0.65 < noisy / 300 < 0.85


def test_mirroring_happens_half_of_the_time():
    ramp = np.broadcast_to(np.arange(56, dtype=np.uint8)[None, None, :, None] * 4, (5, 40, 56, 3))
    source = sampler([ClipItem("ramp", lambda start, stop, stride, short: np.ascontiguousarray(ramp))], batch=1)
    mirrored = sum(bool((x := next(source))[0, 0, 0, 0, 0] > x[0, 0, 0, 0, -1]) for _ in range(200))
    assert 70 < mirrored < 130


def test_memory_budget_changes_speed_and_not_batches():
    items = [noise("a"), noise("b", 1), noise("c", 2)]
    free, tight = sampler(items), sampler(items, memory_budget_bytes=1)
    assert all(torch.equal(next(free), next(tight)) for _ in range(6))
    assert len(tight._kept) == 1
    assert tight._kept_bytes == next(iter(tight._kept.values())).numel()


@pytest.mark.parametrize("name", ["frames", "size", "batch", "max_stride"])
def test_zero_is_refused(name):
    with pytest.raises(ValueError, match=name):
        sampler([noise("a")], **{name: 0})


def test_a_numbered_crop_does_not_depend_on_what_was_drawn_before():
    items = [broken("x"), noise("a"), numbered("short", 3), noise("b", 1)]
    expected = [sampler(items).crop(seed, 9) for seed in range(12)]
    source = sampler(items)
    next(source)
    assert all(torch.equal(source.crop(seed, 9), expected[seed]) for seed in reversed(range(12)))
    assert not torch.equal(expected[0], expected[1])


def test_a_clip_too_short_for_one_length_serves_another():
    source = sampler([numbered("short", 6), noise("long")])
    long, short = ([source.crop(seed, frames) for seed in range(20)] for frames in (9, 5))
    assert all(crop.shape[1] == 9 for crop in long)
    assert any(crop.flatten(2).std(dim=2).max() < 1e-6 for crop in short), "the clip of plain frames is drawn at 5"
    assert [clip.name for clip in source.skipped] == ["short"]
