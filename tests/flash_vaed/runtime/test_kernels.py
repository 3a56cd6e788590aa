"""The Triton kernels and the rewrites that use them: on a GPU, or anywhere by Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from flash_vaed import StagePlan
from flash_vaed.runtime import RuntimeOptions, optimize
from flash_vaed.runtime.kernels import has_triton
from tests.flash_vaed.examples import random_decoder, random_latents, tiny_spec

REWRITES = ("attention", "depthwise", "narrow")
PLACES = {"attention": 1, "depthwise": 8, "narrow": 5}
SPEC = tiny_spec(8).with_stages(
    mid=StagePlan("depthwise3d", 320, 2, attention=True), up0=StagePlan("depthwise3d", 32, 2, "spatiotemporal", 16),
    up2=StagePlan("conv2d", 24, 2, "spatial", 12), up3=StagePlan("conv2d", 12, 2, shortcut="always"),
)  # fmt: skip
INTERPRETED = """
import torch
import torch.nn.functional as F
from flash_vaed.runtime.kernels import attention, depthwise, narrow

def same(made, expected):
    assert made.shape == expected.shape
    assert (made - expected).abs().max() < 1e-4, (made - expected).abs().max()

torch.manual_seed(0)
for N, C, T, H, W in ((1, 3, 1, 1, 1), (2, 20, 3, 5, 6), (1, 33, 2, 9, 8)):
    past, x, weight = torch.randn(N, C, 2, H, W), torch.randn(N, C, T, H, W), torch.randn(C, 1, 3, 3, 3)
    expected = F.conv3d(torch.cat([past, x], 2), weight, padding=(0, 1, 1), groups=C)
    same(depthwise.launch(depthwise._kernel, past, x, weight.flatten(1).T.contiguous(), PIXELS=16, SLAB=16), expected)
for frames, P, C in ((2, 70, 384), (1, 100, 300), (1, 33, 384)):
    qkv = torch.randn(frames, P, 3 * C)
    expected = F.scaled_dot_product_attention(*qkv.chunk(3, -1))
    same(attention.launch(attention._kernel, qkv, ROWS=16, COLUMNS=32), expected)
for N, I, O, S, T, t, H, W in ((1, 12, 12, 24, 2, 1, 5, 7), (2, 24, 24, 24, 2, 1, 4, 3), (2, 12, 3, 0, 3, 3, 6, 5)):
    x, weight = torch.randn(N, I, T + t - 1, H, W), torch.randn(O, I, t, 3, 3)
    bias, gain = torch.randn(O), torch.randn(O)
    side, mix = (torch.randn(N, S, T, H, W), torch.randn(S, O)) if S else (None, None)
    raw = F.conv3d(x, weight, bias, padding=(0, 1, 1)) + (torch.einsum("so,nsthw->nothw", mix, side) if S else 0)
    activated = F.silu(F.normalize(raw, dim=1) * O**0.5 * gain.view(-1, 1, 1, 1))
    taps = weight.permute(2, 3, 4, 1, 0).flatten(1, 3).contiguous()
    for rows in (2, 4):
        for given, expected in ((None, raw), (gain, activated)):
            same(narrow.launch(narrow._kernel, x, taps, bias, side, mix, given, PIXELS=16, ROWS=rows), expected)
"""
A_DECODER_INTERPRETED = """
from flash_vaed.runtime import RuntimeOptions, optimize
from flash_vaed.runtime.kernels import attention, depthwise, narrow
from flash_vaed.runtime.rewrites import attention as a, depthwise as d, narrow as n
from tests.flash_vaed.examples import random_decoder, random_latents
from tests.flash_vaed.runtime.test_kernels import PLACES, REWRITES, SPEC

a.runs_triton = d.runs_triton = n.runs_triton = lambda tensor: True
attention.wide_attention = lambda *given: attention.launch(attention._kernel, *given, ROWS=16, COLUMNS=16)
depthwise.depthwise_filter = lambda *given: depthwise.launch(depthwise._kernel, *given, PIXELS=16, SLAB=32)
narrow.narrow_convolution = lambda *given: narrow.launch(narrow._kernel, *given, PIXELS=16, ROWS=4)
decoder, z = random_decoder(SPEC), random_latents(3, 3, 2)
for last in (False, True):
    fast = optimize(decoder, RuntimeOptions(rewrites=REWRITES, channels_last=last))
    assert fast.places == PLACES, fast.places
    assert (fast.decode(z, chunk=1) - decoder.decode(z)).abs().max() < 1e-4
"""
HOPPER = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from flash_vaed.runtime.kernels import attention, depthwise, narrow

def check(module, constants):
    kernel = module._kernel
    for config in module.CONFIGS:
        fixed, names = {**constants, **config.kwargs}, [parameter.name for parameter in kernel.params]
        kinds = {n: "constexpr" if n in fixed else "*fp16" if n.endswith("_ptr") else "i32" for n in names}
        source = ASTSource(kernel, kinds, constexprs={(names.index(n),): value for n, value in fixed.items()})
        compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": config.num_warps})

check(attention, {"SCALE": 0.05, "PART": 128})
check(depthwise, {"CHANNELS": 384})
for time, ins, outs, sides, activated in ((1, 24, 24, 0, True), (1, 12, 12, 12, False), (3, 12, 3, 0, False)):
    check(narrow, {
        "TIME": time, "INS": ins, "OUTS": outs, "SIDES": sides, "IN_SIDE": narrow._side(3 * ins),
        "OUT_SIDE": narrow._side(outs), "SIDE_SIDE": narrow._side(sides), "ROOT": 1.5, "ACTIVATED": activated,
    })
"""


@pytest.mark.parametrize("chunk", [None, 1])
def test_off_a_gpu_the_rewrites_change_nothing(chunk):
    decoder, z = random_decoder(SPEC), random_latents(3, 4, 3)
    fast = optimize(decoder, RuntimeOptions(rewrites=REWRITES))
    assert fast.places == PLACES
    assert (fast.decode(z, chunk=chunk) - decoder.decode(z)).abs().max() < 1e-4


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
@pytest.mark.parametrize("script", [INTERPRETED, A_DECODER_INTERPRETED], ids=["kernels", "decoder"])
def test_in_tritons_interpreter(script):
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    if "only 0-dimensional arrays can be converted" in done.stderr:
        pytest.skip("this Triton's interpreter and this NumPy do not fit: pip install 'numpy<2.4'")
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("compiled", [None, "default"])
def test_on_a_gpu(compiled, graph):
    decoder, z = random_decoder(SPEC).cuda(), random_latents(4, 4, 3).cuda()
    options = RuntimeOptions(rewrites=REWRITES, channels_last=True, compile=compiled, cuda_graph=graph)
    with torch.backends.cudnn.flags(allow_tf32=False):
        assert (optimize(decoder, options).decode(z, chunk=1) - decoder.decode(z)).abs().max() < 1e-4


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
def test_the_kernels_compile_for_an_h200_wherever_triton_is():
    done = subprocess.run([sys.executable, "-c", HOPPER], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
