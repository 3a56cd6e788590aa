"""TAEHV's rules of time: one remembered frame per block, three dropped frames per clip, any chunking the same."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from flash_vaed import Decoder, StagePlan, load_decoder, save_decoder
from flash_vaed.families.taehv import MemoryBlock, taehv_spec
from flash_vaed.state import DecoderState, Stream
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder, random_latents, scramble

SAME = {"atol": 1e-5, "rtol": 0.0}


def tiny(**told) -> Decoder:
    return random_decoder(taehv_spec(**{"channels": (8, 6, 4, 4), "blocks": 2, "latents": FOUR_CHANNELS, **told}))


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return tiny()


@pytest.mark.parametrize("chunk", [1, 2, 3, 4])
@pytest.mark.parametrize("time_upsample", [(False, True, True), (True, True, True), (False, False, False)])
def test_any_chunking_gives_the_whole_clip(chunk, time_upsample):
    decoder = tiny(time_upsample=time_upsample)
    z_NCthw = random_latents(5, 2, 3, n=2)
    whole = decoder.decode(z_NCthw)
    assert whole.shape == (2, 3, decoder.spec.frames_out(5), 16, 24)
    assert whole.std() > 0.1, "dead frames prove nothing"
    torch.testing.assert_close(decoder.decode(z_NCthw, chunk), whole, **SAME)


def test_a_forgotten_frame_would_show(decoder):
    z_NCthw = random_latents(3)
    _, state = decoder.step(z_NCthw[:, :, :2], decoder.init_state())
    blank = DecoderState(2, {slot: 0 * frame for slot, frame in state.memory.items()})
    known, forgotten = (decoder.step(z_NCthw[:, :, 2:], s)[0] for s in (state, blank))
    assert (known - forgotten).abs().amax() > 0.01


def test_the_first_latent_gives_one_frame_and_each_later_one_four(decoder):
    state, lengths = decoder.init_state(), []
    for z_chunk in random_latents(3).split(1, dim=2):
        frames, state = decoder.step(z_chunk, state)
        lengths.append(frames.shape[2])
    assert lengths == [1, 4, 4]
    assert (decoder.spec.frames_out(3), decoder.spec.spatial_scale, decoder.spec.temporal_scale) == (9, 8, 4)


def test_a_block_remembers_the_last_frame_of_its_input(decoder):
    _, state = decoder.step(random_latents(2, 2, 3), decoder.init_state())
    remembered = {slot: tuple(frame.shape) for slot, frame in state.memory.items()}
    assert remembered == {
        f"stages.up{s}.blocks.{b}": (1, (8, 6, 4)[s], 1, 2 << s, 3 << s) for s in range(3) for b in range(2)
    }


def test_a_frame_sees_the_one_before_it_and_no_other():
    block = scramble(MemoryBlock(StagePlan("conv2d", 4, 1), "causal_zero"))
    x_NCTHW = random_latents(4)
    changed = x_NCTHW.clone()
    changed[:, :, 1] += 1
    difference = (block(x_NCTHW, Stream.fresh()) - block(changed, Stream.fresh())).abs().amax(dim=(0, 1, 3, 4))
    assert (difference > 1e-3).tolist() == [False, True, True, False]


def test_latents_are_normalised_and_bounded(decoder):
    """Far beyond three deviations another deviation makes no difference."""
    far, farther = (FOUR_CHANNELS.denormalize(torch.full((1, 4, 1, 2, 2), value)) for value in (30.0, 60.0))
    near = FOUR_CHANNELS.denormalize(torch.full((1, 4, 1, 2, 2), 1.0))
    torch.testing.assert_close(decoder(far), decoder(farther), **SAME)
    assert (decoder(near) - decoder(far)).abs().amax() > 0.05


def test_it_is_saved_and_loaded_as_any_decoder(decoder, tmp_path):
    save_decoder(decoder, tmp_path)
    again = load_decoder(tmp_path)
    assert again.spec == decoder.spec
    assert torch.equal(again.decode(random_latents(2)), decoder.decode(random_latents(2)))


@pytest.mark.parametrize("operator", ["conv3d", "depthwise3d"])
def test_its_blocks_take_other_operators_and_stream(operator):
    spec = tiny().spec
    plan = dataclasses.replace(spec.stages["up1"], operator=operator)
    decoder = random_decoder(spec.with_stages(up1=plan))
    z_NCthw = random_latents(4)
    torch.testing.assert_close(decoder.decode(z_NCthw, 1), decoder.decode(z_NCthw), **SAME)


@pytest.mark.parametrize(
    "plan",
    [
        {"attention": True}, {"skip": True}, {"shortcut": "always"}, {"time": "causal_zero"}, {"channels": 5},
        {"upsample": "none", "out_channels": 6},
    ],
)  # fmt: skip
def test_plans_of_other_families_are_refused(plan):
    spec = tiny().spec
    with pytest.raises(ValueError, match="stage up1: a taehv stage keeps its width"):
        Decoder(spec.with_stages(up1=dataclasses.replace(spec.stages["up1"], **plan)))


def test_another_rule_of_time_is_refused():
    with pytest.raises(ValueError, match="time is causal_zero, not centred_replicate"):
        Decoder(dataclasses.replace(tiny().spec, time="centred_replicate"))


def test_widths_that_do_not_fit_the_flags_are_refused():
    with pytest.raises(ValueError, match="3 widths are those of 2 stages and the head"):
        taehv_spec(channels=(8, 8, 4))
