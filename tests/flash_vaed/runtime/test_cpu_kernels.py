"""The C++ kernels against PyTorch, by themselves and in decoders; and what happens without a compiler."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from flash_vaed import StagePlan
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.wan import wan_spec
from flash_vaed.runtime import RuntimeOptions, optimize
from flash_vaed.runtime.kernels import cpu
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder, random_latents

REWRITES = ("depthwise", "norms")
SPEC = wan_spec(16, (1, 2), 1, (True,), FOUR_CHANNELS).with_stages(
    mid=StagePlan("depthwise3d", 64, 2, attention=True), up0=StagePlan("depthwise3d", 48, 1, "spatiotemporal", 16),
    up1=StagePlan("conv2d", 12, 1, shortcut="always"),
)  # fmt: skip
PLACES = {"depthwise": 6, "norms": 9}
LTX = ltx_spec((8, 16), (1, 1, 1), (True, True), patch=1, latents=FOUR_CHANNELS)

pytestmark = pytest.mark.skipif(cpu.library() is None, reason="no C++ compiler")


def clip(*shape: int, seed: int = 0) -> torch.Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return made.contiguous(memory_format=torch.channels_last_3d)


def expected_activation(x: torch.Tensor, gain: torch.Tensor, least: float, more: float) -> torch.Tensor:
    mean = x.double().square().mean(dim=1, keepdim=True).clamp_min(least)
    return F.silu(x.double() / (mean + more).sqrt() * gain.double().view(-1, 1, 1, 1))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("channels", [1, 3, 12, 16, 24, 33, 96])
@pytest.mark.parametrize("size", [(1, 1, 1, 1), (1, 2, 5, 7), (2, 3, 4, 4)])
def test_norm_and_silu(size, channels, threads):
    N, T, H, W = size
    x, gain = clip(N, channels, T, H, W), torch.randn(channels)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        made = cpu.norm_silu(x, gain, 1e-3, 1e-8)
    finally:
        torch.set_num_threads(before)
    assert made.shape == x.shape
    assert made.is_contiguous(memory_format=torch.channels_last_3d)
    assert (made - expected_activation(x, gain, 1e-3, 1e-8)).abs().max() < 1e-5


@pytest.mark.parametrize("channels", [12, 32])
def test_norm_and_silu_round_to_the_nearest_bfloat16(channels):
    x, gain = clip(1, channels, 2, 5, 7).bfloat16(), torch.randn(channels).bfloat16()
    made = cpu.norm_silu(x, gain, 0.0, 1e-8)
    exact = expected_activation(x, gain, 0.0, 1e-8)
    nearest = exact.float().bfloat16()
    assert made.dtype == torch.bfloat16
    assert (made == nearest).float().mean() > 0.99  # else the sums differ in their last bit
    assert ((made.double() - exact).abs() <= exact.abs() * 2**-7 + 1e-6).all()


@pytest.mark.parametrize("channels", [12, 16])
def test_values_at_the_ends_of_the_range(channels):
    x = clip(1, channels, 1, 1, 4)
    x[..., 0], x[..., 1], x[..., 2] = 0.0, 1e15, float("nan")
    gain = torch.full((channels,), 300.0)  # far into both tails of the SiLU
    made = cpu.norm_silu(x, gain, 1e-24, 0.0)
    assert (made[..., 0] == 0).all()
    assert (made[..., 2]).isnan().all()
    for column in (1, 3):
        exact = expected_activation(x[..., column : column + 1], gain, 1e-24, 0.0)
        torch.testing.assert_close(made[..., column : column + 1].double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("size", [(1, 16, 1, 1, 1), (2, 48, 3, 4, 5), (1, 64, 4, 5, 3), (1, 128, 2, 1, 6)])
def test_depthwise_rows(size, before, dtype):
    N, C, _, H, W = size
    past, x, weight = clip(N, C, before, H, W, seed=1).to(dtype), clip(*size).to(dtype), torch.randn(C, 1, 3, 3, 3)
    front = past if before else torch.zeros(N, C, 2, H, W, dtype=dtype)
    expected = F.conv3d(torch.cat([front, x], 2).float(), weight, padding=(0, 1, 1), groups=C)
    made = cpu.depthwise_rows(past, x, weight.flatten(1).T.contiguous())
    assert made.is_contiguous(memory_format=torch.channels_last_3d)
    scale = 2**-8 if dtype == torch.bfloat16 else 1e-5
    assert ((made.float() - expected).abs() <= scale * expected.abs().clamp_min(1)).all()


@pytest.mark.parametrize(("channels", "before"), [(12, 2), (16, 1)])
def test_depthwise_rows_refuse_what_they_cannot_do(channels, before):
    with pytest.raises(ValueError, match="channels in steps of 16 and 0 or 2 frames before"):
        cpu.depthwise_rows(clip(1, channels, before, 2, 2), clip(1, channels, 1, 2, 2), torch.zeros(27, channels))


@pytest.mark.parametrize("compiled", [None, "default"])
def test_a_decoder_gives_the_same_frames_whole_and_in_a_stream(compiled, monkeypatch):
    decoder, z = random_decoder(SPEC), random_latents(4, 4, 3)
    fast = optimize(decoder, RuntimeOptions(rewrites=REWRITES, channels_last=True, compile=compiled))
    assert fast.places == PLACES
    called = []
    real = cpu._call
    monkeypatch.setattr(cpu, "_call", lambda kernel, *given: called.append(kernel) or real(kernel, *given))
    for chunk in (None, 1):
        assert (fast.decode(z, chunk=chunk) - decoder.decode(z)).abs().max() < 1e-4
    assert set(called) == {"depthwise", "norm_silu"}


def test_ltx_has_norms_too():
    decoder, z = random_decoder(LTX), random_latents(3, 3, 3)
    fast = optimize(decoder, RuntimeOptions(rewrites=REWRITES, channels_last=True))
    assert fast.places == {"depthwise": 0, "norms": 5}
    assert (fast.decode(z, chunk=2) - decoder.decode(z)).abs().max() < 1e-4


@pytest.fixture
def compiled_anew(monkeypatch, tmp_path):
    """The kernels are looked for again, in an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cpu.library.cache_clear()
    yield tmp_path
    cpu.library.cache_clear()


def test_kernels_are_compiled_once(compiled_anew, monkeypatch):
    assert cpu.library() is not None
    (kept,) = (compiled_anew / "cache" / "flash-vaed" / "kernels").iterdir()
    assert kept.suffix == ".so"
    cpu.library.cache_clear()
    monkeypatch.setattr(cpu, "_compile", lambda *_: pytest.fail("compiled again"))
    assert cpu.library() is not None


@pytest.mark.faults
def test_without_a_compiler_pytorch_computes(compiled_anew, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    decoder, z = random_decoder(SPEC), random_latents(2, 4, 3)
    fast = optimize(decoder, RuntimeOptions(rewrites=REWRITES, channels_last=True))
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler 'no-such-compiler'.*computing by PyTorch"):
        assert cpu.library() is None
    assert (fast.decode(z) - decoder.decode(z)).abs().max() < 1e-4


@pytest.mark.faults
def test_a_compiler_that_fails_is_told_and_pytorch_computes(compiled_anew, monkeypatch):
    broken = compiled_anew / "c++"
    broken.write_text("#!/bin/sh\necho 'unknown option -fopenmp' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.warns(UserWarning, match="unknown option -fopenmp"):
        assert cpu.library() is None
    decoder, z = random_decoder(SPEC), random_latents(2, 4, 3)
    fast = optimize(decoder, RuntimeOptions(rewrites=REWRITES, channels_last=True))
    assert (fast.decode(z) - decoder.decode(z)).abs().max() < 1e-4


@pytest.mark.faults
def test_a_cache_that_cannot_be_written_is_no_hindrance(compiled_anew):
    (compiled_anew / "cache").write_text("a file where the folder would be")
    assert cpu.library() is not None
