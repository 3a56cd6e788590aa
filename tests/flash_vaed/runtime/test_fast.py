"""Options change how a decoder computes and not what: same frames, same states, same streams."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from flash_vaed import CheckpointError, Decoder, save_decoder
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.wan import wan_spec
from flash_vaed.runtime import RuntimeOptions, optimize
from tests.flash_vaed.examples import FOUR_CHANNELS, psnr, random_decoder, random_latents
from tests.flash_vaed.runtime.test_rewrites import ALL, SPECS

CONVOLUTIONS = (F.conv2d, F.conv3d, torch.mkldnn_convolution)
SMALL = wan_spec(8, (1, 2), 1, (True,), FOUR_CHANNELS)  # compiles in seconds


class Inputs(TorchFunctionMode):
    """Whether each convolution's input and weight lie channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in CONVOLUTIONS:
            order = torch.channels_last_3d if args[0].ndim == 5 else torch.channels_last
            self.seen.append(args[0].is_contiguous(memory_format=order))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("chunk", [None, 1])
@pytest.mark.parametrize("rewrites", [(), ALL])
@pytest.mark.parametrize("spec", SPECS)
def test_clips_stay_channels_last_from_end_to_end(spec, rewrites, chunk):
    decoder, z = random_decoder(SPECS[spec]), random_latents(3, 4, 4)
    fast = optimize(decoder, RuntimeOptions(rewrites=rewrites, channels_last=True))
    with Inputs() as inputs:
        frames = fast.decode(z, chunk=chunk)
    assert len(inputs.seen) > 20
    assert all(inputs.seen)
    assert (frames - decoder.decode(z)).abs().max() < 1e-4


@pytest.mark.parametrize(("dtype", "decibels"), [("bfloat16", 35), ("float16", 50)])
def test_half_precision_weights_cost_little(dtype, decibels):
    decoder, z = random_decoder(), random_latents(3, 4, 4)
    frames = optimize(decoder, RuntimeOptions(dtype, ALL, channels_last=True)).decode(z)
    assert frames.dtype == getattr(torch, dtype)
    assert decibels < psnr(frames.float(), decoder.decode(z)) < 90


def test_norms_are_reduced_in_float32():
    """Gains of a thousand over 384 channels leave float16's range when they are squared in it."""
    norm = random_decoder().stages["mid"].blocks[0].norm1.half()
    x = torch.full((1, len(norm.gamma), 1, 1, 1), 3e4, dtype=torch.float16)
    assert norm.unit(x).isfinite().all()


@pytest.fixture(scope="module")
def compiled():
    return optimize(random_decoder(SMALL), RuntimeOptions(rewrites=ALL, channels_last=True, compile="default"))


def test_compiled_steps_give_the_same_stream_and_never_compile_twice(compiled):
    plain, z = random_decoder(SMALL), random_latents(5, 4, 4)
    whole = plain.decode(z)
    for _ in range(2):
        assert (compiled.decode(z, chunk=1) - whole).abs().max() < 1e-4
    assert len(compiled._steps) == 2  # the first latent, and every later one
    assert (compiled.decode(z, chunk=2) - whole).abs().max() < 1e-4  # 2, 2, 1
    assert len(compiled._steps) == 4


def test_a_whole_clip_is_a_step_of_its_own_that_remembers_nothing(compiled):
    z = random_latents(2, 4, 4)
    _, state = compiled.step(z, compiled.init_state(), last=True)
    assert (compiled.decode(z) - random_decoder(SMALL).decode(z)).abs().max() < 1e-4
    assert state.ended
    assert not state.memory
    with pytest.raises(ValueError, match="has ended"):
        compiled.step(z, state)


def test_a_state_fits_every_way_of_computing(compiled):
    plain, z = random_decoder(SMALL), random_latents(3, 4, 4)
    _, state = plain.step(z[:, :, :1], plain.init_state())
    ours, state_of_compiled = compiled.step(z[:, :, 1:2], state)
    theirs, state = plain.step(z[:, :, 1:2], state)
    assert (ours - theirs).abs().max() < 1e-4
    again, _ = plain.step(z[:, :, 2:], state_of_compiled)
    assert (again - plain.step(z[:, :, 2:], state)[0]).abs().max() < 1e-4


def test_two_streams_share_a_compiled_decoder(compiled):
    plain = random_decoder(SMALL)
    first, second = random_latents(2, 4, 4, seed=1), random_latents(2, 4, 4, seed=2)
    states = [compiled.init_state(), compiled.init_state()]
    frames = [[], []]
    for t in range(2):
        for i, z in enumerate((first, second)):
            made, states[i] = compiled.step(z[:, :, t : t + 1], states[i])
            frames[i].append(made)
    for found, z in zip(frames, (first, second), strict=True):
        assert (torch.cat(found, 2) - plain.decode(z)).abs().max() < 1e-4


def test_an_outer_autocast_does_not_reach_in():
    fast, z = optimize(random_decoder(SMALL), RuntimeOptions()), random_latents(2, 4, 4)
    expected = fast.decode(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fast.decode(z), expected)


def test_a_decoder_that_looks_ahead_can_be_compiled_too():
    decoder = random_decoder(ltx_spec((8,), (1, 1), (True,), patch=1, latents=FOUR_CHANNELS))
    fast = optimize(decoder, RuntimeOptions(compile="default"))
    z = random_latents(5, 3, 3)
    assert (fast.decode(z, chunk=3) - decoder.decode(z)).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtype": "float8"}, "dtype is one of float32"),
        ({"compile": "fastest"}, "compile is one of default"),
        ({"rewrites": ("nothing",)}, "unknown rewrite"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        RuntimeOptions(**options)


def test_what_was_rewritten_is_not_saved(tmp_path):
    with pytest.raises(CheckpointError, match="save the decoder that it was made from"):
        save_decoder(optimize(random_decoder(SMALL), RuntimeOptions(rewrites=ALL)), tmp_path / "out")


def test_cuda_graphs_need_a_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="need a CUDA device"):
        optimize(random_decoder(SMALL), RuntimeOptions(cuda_graph=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mode", [None, "default"])
def test_graphs_on_a_gpu_give_the_same_stream(mode):
    decoder: Decoder = random_decoder(SMALL).cuda()
    z = random_latents(6, 4, 4).cuda()
    fast = optimize(decoder, RuntimeOptions(rewrites=ALL, channels_last=True, compile=mode, cuda_graph=True))
    with torch.backends.cudnn.flags(allow_tf32=False):
        assert (fast.decode(z, chunk=1) - decoder.decode(z)).abs().max() < 1e-4
