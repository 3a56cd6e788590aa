"""The Triton kernel against its eager twin: on a GPU, or anywhere by Triton's interpreter."""

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

SPEC = tiny_spec(8).with_stages(
    mid=StagePlan("depthwise3d", 32, 2, attention=True), up0=StagePlan("depthwise3d", 32, 2, "spatiotemporal", 16)
)
INTERPRETED = """
import torch
import torch.nn.functional as F
from flash_vaed.runtime.kernels import depthwise

for N, C, T, H, W, O in ((1, 3, 1, 1, 1, 5), (2, 20, 3, 5, 6, 18), (1, 33, 2, 9, 8, 70)):
    torch.manual_seed(0)
    clip, taps = torch.randn(N, C, T + 2, H, W), torch.randn(C, 1, 3, 3, 3)
    mix, bias = torch.randn(O, C, 1, 1, 1), torch.randn(O)
    expected = F.conv3d(F.conv3d(clip, taps, None, padding=(0, 1, 1), groups=C), mix, bias)
    arguments = (taps[:, 0].permute(1, 2, 3, 0).contiguous(), mix.flatten(1).T.contiguous(), bias)
    made = depthwise._launch(depthwise._kernel, clip, *arguments)
    assert made.shape == expected.shape
    assert (made - expected).abs().max() < 1e-4, (made - expected).abs().max()
"""


def test_the_eager_twin_is_exact_in_a_stream():
    decoder, z = random_decoder(SPEC), random_latents(3, 4, 3)
    fast = optimize(decoder, RuntimeOptions(rewrites=("depthwise",)))
    assert fast.places == {"depthwise": 8}
    for chunk in (None, 1):
        assert (fast.decode(z, chunk=chunk) - decoder.decode(z)).abs().max() < 1e-4


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
def test_the_kernel_in_tritons_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("compiled", [None, "default"])
def test_the_kernel_on_a_gpu(compiled):
    decoder, z = random_decoder(SPEC).cuda(), random_latents(3, 4, 3).cuda()
    fast = optimize(decoder, RuntimeOptions(rewrites=("depthwise",), channels_last=True, compile=compiled))
    assert (fast.decode(z, chunk=1) - decoder.decode(z)).abs().max() < 1e-3
