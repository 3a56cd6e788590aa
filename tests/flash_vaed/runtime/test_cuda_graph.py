"""The banks of a recorded step, with a recorder that needs no GPU: it calls again and refills the same tensors."""

from __future__ import annotations

import pytest
import torch

from flash_vaed.runtime.cuda_graph import GraphedSteps
from flash_vaed.state import DecoderState
from tests.flash_vaed.examples import random_decoder, random_latents


def record(call):
    frames, memory = call()

    def replay():
        again, after = call()
        for kept, new in ((frames, again), *((memory[slot], after[slot]) for slot in memory)):
            kept.copy_(new)

    return replay, (frames, memory)


@pytest.fixture
def decoder():
    return random_decoder()


def steps_of(decoder, z, state: DecoderState) -> GraphedSteps:
    def step(z_NCthw, memory):
        frames, after = decoder.step(z_NCthw, DecoderState(state.latents_seen, memory))
        return frames, dict(after.memory)

    return GraphedSteps(step, z, state.memory, record)


def test_the_state_goes_back_and_forth_and_frames_are_those_of_the_stream(decoder):
    z = random_latents(6)
    expected = decoder.decode(z, chunk=1)
    first = steps_of(decoder, z[:, :, :1], decoder.init_state())
    frames, memory = first(z[:, :, :1], {})
    made, steady = [frames], None
    for t in range(1, 6):
        z_t = z[:, :, t : t + 1]
        if steady is None:
            steady = steps_of(decoder, z_t, DecoderState(1, memory))
        frames, memory = steady(z_t, memory)
        made.append(frames)
    torch.testing.assert_close(torch.cat(made, dim=2), expected, atol=1e-5, rtol=0)


def test_a_state_that_was_overwritten_is_an_error(decoder):
    z = random_latents(5)
    _, state = decoder.step(z[:, :, :1], decoder.init_state())
    steady = steps_of(decoder, z[:, :, 1:2], state)
    _, one = steady(z[:, :, 1:2], state.memory)
    _, two = steady(z[:, :, 2:3], one)
    _, three = steady(z[:, :, 3:4], two)
    with pytest.raises(ValueError, match="overwritten"):
        steady(z[:, :, 2:3], one)
    steady(z[:, :, 4:5], three)


def test_a_new_stream_may_begin_at_any_time(decoder):
    z, other = random_latents(3, seed=1), random_latents(3, seed=2)
    _, state = decoder.step(z[:, :, :1], decoder.init_state())
    steady = steps_of(decoder, z[:, :, 1:2], state)
    _, kept = steady(z[:, :, 1:2], state.memory)
    steady(z[:, :, 2:3], kept)
    _, state = decoder.step(other[:, :, :1], decoder.init_state())
    frames, _ = steady(other[:, :, 1:2], state.memory)
    torch.testing.assert_close(frames, decoder.step(other[:, :, 1:2], state)[0], atol=1e-5, rtol=0)
