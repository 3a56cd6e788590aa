"""Streaming is batch: the state is a value, the past decides, the future never does."""

from __future__ import annotations

import warnings

import pytest
import torch

from flash_vaed import Decoder, DecoderState, LatentWarning
from flash_vaed.cost import decoder_cost
from flash_vaed.families.wan import WAN21_LATENTS, wan_spec
from tests.flash_vaed.examples import psnr, random_decoder, random_latents, tiny_spec

SAME = {"atol": 1e-5, "rtol": 0.0}


@pytest.mark.faults
@pytest.mark.parametrize("chunk", [1, 2, 3, 5])
def test_any_chunking_gives_the_whole_clip(teacher, chunk):
    z_NCthw = random_latents(5, 2, 3, n=2)
    whole = teacher.decode(z_NCthw)
    assert whole.shape == (2, 3, 17, 16, 24)
    torch.testing.assert_close(teacher.decode(z_NCthw, chunk), whole, **SAME)


def test_uneven_chunks_give_the_whole_clip(teacher):
    z_NCthw, frames, state = random_latents(7), [], teacher.init_state()
    for chunk in z_NCthw.split([2, 1, 3, 1], dim=2):
        x, state = teacher.step(chunk, state)
        frames.append(x)
    torch.testing.assert_close(torch.cat(frames, dim=2), teacher.decode(z_NCthw), **SAME)
    assert state.latents_seen == 7


def test_chunks_without_their_state_would_show(teacher):
    """The check above can fail: a forgotten past changes the frames by far more than rounding."""
    z_NCthw = random_latents(3)
    alone, _ = teacher.step(
        z_NCthw[:, :, 2:], DecoderState(2, {k: 0 * v for k, v in _state(teacher, 2).memory.items()})
    )
    assert psnr(alone, teacher.decode(z_NCthw)[:, :, -4:]) < 30


def _state(decoder: Decoder, latents: int) -> DecoderState:
    """The state behind `latents` random latents."""
    return decoder.step(random_latents(latents), decoder.init_state())[1]


def test_the_first_latent_gives_one_frame_and_each_later_one_four(teacher):
    state = teacher.init_state()
    lengths = []
    for chunk in random_latents(4).split(1, dim=2):
        frames, state = teacher.step(chunk, state)
        lengths.append(frames.shape[2])
    assert lengths == [1, 4, 4, 4]
    assert [teacher.decode(random_latents(t)).shape[2] for t in (1, 2, 4)] == [1, 5, 13]


@pytest.mark.faults
def test_the_first_frame_is_the_latent_as_an_image(teacher):
    z_NCthw = random_latents(3)
    torch.testing.assert_close(teacher.decode(z_NCthw)[:, :, :1], teacher.decode(z_NCthw[:, :, :1]), **SAME)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_earlier_frames_ignore_the_future(teacher, t):
    z_NCthw, other = random_latents(4), random_latents(4, seed=9)
    changed = torch.cat([z_NCthw[:, :, :t], other[:, :, t:]], dim=2)
    frames = teacher.spec.frames_out(t)
    before, after = teacher.decode(z_NCthw), teacher.decode(changed)
    torch.testing.assert_close(after[:, :, :frames], before[:, :, :frames], **SAME)
    assert (after[:, :, frames:] - before[:, :, frames:]).abs().amax() > 0.01


@pytest.mark.faults
def test_two_interleaved_streams_do_not_meet(teacher):
    clips = [random_latents(4, seed=1), random_latents(4, seed=2)]
    states, frames = [teacher.init_state(), teacher.init_state()], [[], []]
    for t in range(4):
        for stream in (0, 1):
            x, states[stream] = teacher.step(clips[stream][:, :, t : t + 1], states[stream])
            frames[stream].append(x)
    for clip, parts in zip(clips, frames, strict=True):
        assert torch.equal(torch.cat(parts, dim=2), teacher.decode(clip, chunk=1))


@pytest.mark.faults
def test_a_step_leaves_the_state_it_was_given(teacher):
    state = _state(teacher, 2)
    copies = {slot: frames.clone() for slot, frames in state.memory.items()}
    first, _ = teacher.step(random_latents(2, seed=3), state)
    again, _ = teacher.step(random_latents(2, seed=3), state)
    assert torch.equal(first, again)
    assert state.latents_seen == 2
    assert state.memory.keys() == copies.keys()
    assert all(torch.equal(state.memory[slot], frames) for slot, frames in copies.items())


@pytest.mark.faults
def test_the_module_holds_no_memory(teacher):
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    teacher.step(random_latents(2), teacher.init_state())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert teacher.init_state() == DecoderState()
    assert list(teacher.buffers()) == []


def test_remembered_frames_own_their_storage(teacher):
    """A slice of an activation would keep all of it alive."""
    for frames in _state(teacher, 3).memory.values():
        assert frames.untyped_storage().nbytes() == frames.numel() * frames.element_size()


@pytest.mark.parametrize("operator", ["conv3d", "conv2d"])
@pytest.mark.parametrize(("t", "h", "w"), [(1, 1, 1), (3, 2, 3)])
def test_state_bytes_are_those_the_cost_foretells(operator, t, h, w):
    spec = tiny_spec()
    spec = spec.with_stages(up3=type(spec.stages["up3"])(operator, 8, 2))
    decoder = random_decoder(spec)
    _, state = decoder.step(random_latents(t, h, w), decoder.init_state())
    assert state.nbytes() == decoder_cost(spec, spec.frames_out(t), 8 * h, 8 * w, element_bytes=4).state_bytes > 0


def test_a_stream_that_has_ended_remembers_nothing(teacher):
    frames, state = teacher.step(random_latents(2), teacher.init_state(), last=True)
    assert torch.equal(frames, teacher.step(random_latents(2), teacher.init_state())[0])
    assert state == DecoderState(2, {}, ended=True)


def test_the_state_does_not_grow(teacher):
    sizes = {_state(teacher, latents).nbytes() for latents in (1, 2, 5)}
    assert len(sizes) == 1


@pytest.mark.faults
def test_batch_items_do_not_meet(teacher):
    z_NCthw = random_latents(3, n=2)
    apart = torch.cat([teacher.decode(z) for z in z_NCthw.split(1)])
    torch.testing.assert_close(teacher.decode(z_NCthw), apart, **SAME)


def test_decode_clamps_and_forward_does_not(teacher):
    z_NCthw = 4 * random_latents(2, 4, 4)
    free = teacher(z_NCthw)
    assert free.abs().amax() > 1
    assert torch.equal(teacher.decode(z_NCthw), free.clamp(-1, 1))


def test_features_are_what_leaves_each_part(teacher):
    z_NCthw = random_latents(3)
    features = teacher.features(z_NCthw)
    assert list(features) == ["entry", "mid", "up0", "up1", "up2", "up3", "frames"]
    assert torch.equal(features["frames"], teacher(z_NCthw))
    shapes = {name: tuple(x.shape[1:]) for name, x in features.items()}
    assert shapes["entry"] == shapes["mid"] == (32, 3, 2, 2)
    assert shapes["up0"] == (16, 5, 4, 4)
    assert shapes["up1"] == (16, 9, 8, 8)
    assert shapes["up2"] == shapes["up3"] == (8, 9, 16, 16)


def test_forward_carries_gradients_and_decode_does_not(teacher):
    z_NCthw = random_latents(2).requires_grad_()
    assert not teacher.decode(z_NCthw).requires_grad
    teacher(z_NCthw).sum().backward()
    assert z_NCthw.grad is not None
    assert z_NCthw.grad.abs().amin(dim=(0, 1, 3, 4)).amin() >= 0
    assert z_NCthw.grad.abs().amax() > 0


@pytest.mark.parametrize("shape", [(1, 16, 2, 2, 2), (4, 2, 2, 2), (1, 4, 0, 2, 2), (0, 4, 1, 2, 2)])
def test_latents_of_another_space_are_refused(teacher, shape):
    with pytest.raises(ValueError, match=r"expected test latents \(N, 4, t, h, w\), got"):
        teacher.decode(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"expected test latents"):
        teacher(torch.zeros(shape))


@pytest.mark.parametrize("chunk", [0, -1])
def test_an_impossible_chunk_is_refused(teacher, chunk):
    with pytest.raises(ValueError, match="chunk is a positive number"):
        teacher.decode(random_latents(2), chunk)


def test_a_state_of_another_stream_is_refused(teacher):
    state = _state(teacher, 1)
    with pytest.raises(ValueError, match="not this stream's state"):
        teacher.step(random_latents(1, 4, 4), state)
    with pytest.raises(ValueError, match="not this stream's state"):
        teacher.step(random_latents(1, n=2), state)
    other = random_decoder(tiny_spec(4))
    with pytest.raises(ValueError, match="not this stream's state"):
        other.step(random_latents(1), state)


def test_a_state_without_this_decoders_memory_is_refused(teacher):
    """Zeros in place of a forgotten past would be a quiet error."""
    with pytest.raises(ValueError, match=r"holds nothing at entry.conv"):
        teacher.step(random_latents(1), DecoderState(latents_seen=1))


def test_latents_that_look_normalised_are_noticed_and_decoded():
    decoder = random_decoder(wan_spec(4, (1, 2), 1, (True,), WAN21_LATENTS))
    z_NCthw = random_latents(2, 16, 20, channels=16)
    with pytest.warns(LatentWarning, match="given as raw wan2.1 latents look normalized"):
        doubted = decoder.decode(z_NCthw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(decoder.decode(z_NCthw, expect=None), doubted)
        decoder.decode(decoder.latents.denormalize(z_NCthw))
        decoder.decode(z_NCthw, expect="normalized")
