"""What is predicted is what is measured, within a fifth; a prediction itself costs neither time nor memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from flash_vaed.decoding import decode_stream, predicted_bytes
from flash_vaed.decoding.memory import LiveBytes, convolution_workspace, free_bytes
from tests.flash_vaed.decoding.test_tiles import SPECS
from tests.flash_vaed.examples import random_decoder, random_latents

ROOT = Path(__file__).parents[3]
MEASURE = """
import sys, torch
torch.set_num_threads(1)
from bench.memory import peak_increase_bytes
from flash_vaed import Decoder
from flash_vaed.decoding import predicted_bytes
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.wan import wan_spec
spec, (t, h, w), chunk, tile = eval(sys.argv[1])
decoder = Decoder(spec).requires_grad_(False)
z = torch.randn(1, spec.latents.channels, t, h, w)
tiles = tile and (tile, tile)
predicted = predicted_bytes(decoder, z.shape, z.dtype, chunk, tiles)
decoder.decode(z[:, :, :1, :2, :2])
measured, method = peak_increase_bytes(lambda: decoder.decode(z, chunk, tile, memory_budget=2**40), z.device)
print(method, predicted, measured)
"""


def measure(case: str) -> tuple[str, int, int]:
    """Method, predicted and measured bytes of a decode in a fresh process, with glibc's own settings (the bench has
    others).
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    environment["OMP_NUM_THREADS"] = "1"
    run = [sys.executable, "-c", MEASURE, case]
    answer = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=300, env=environment)
    assert answer.returncode == 0, answer.stderr
    method, predicted, measured = answer.stdout.split()
    return method, int(predicted), int(measured)


CASES = {
    "wan, whole": "wan_spec(8, blocks_per_stage=1), (3, 30, 30), None, None",
    "ltx, chunks and tiles": "ltx_spec((32, 32, 16, 8), (1, 1, 1, 1, 1)), (2, 20, 20), 1, 10",
}


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are predicted for glibc and read from /proc")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_prediction_is_within_a_fifth_of_the_measured_peak(case):
    method, predicted, measured = measure(case)
    if method != "rss-peak-1":
        pytest.skip(f"peaks are only sampled here ({method})")
    assert predicted > 100e6
    assert 0.8 < measured / predicted < 1.2, f"predicted {predicted / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_prediction_holds_on_a_gpu():
    decoder = random_decoder(SPECS["wan"]).cuda()
    z_NCthw = random_latents(5, 60, 100).cuda()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    decoder.decode(z_NCthw, 2)
    measured = torch.cuda.max_memory_allocated() - before
    assert measured <= 1.2 * predicted_bytes(decoder, z_NCthw.shape, chunk=2)


@pytest.mark.parametrize("name", ["wan", "ltx"])
@pytest.mark.parametrize(("chunk", "tile"), [(None, None), (2, None), (1, (3, 3))])
def test_fake_tensors_live_as_long_as_real_ones(name, chunk, tile):
    """The same decode with real tensors under the same count: the shortcuts (one tile, two steps) change nothing.

    All that is added on a real decode is the clip, which the prediction adds by itself.
    """
    decoder, z_NCthw = random_decoder(SPECS[name]), random_latents(6, 8, 8)
    with LiveBytes() as live:
        for frames in decode_stream(decoder, [z_NCthw], chunk, tile):
            del frames
    predicted = predicted_bytes(decoder, z_NCthw.shape, chunk=chunk, tile=tile, keep_frames=False)
    assert predicted == live.peak_bytes


def test_a_prediction_is_quick_and_leaves_the_decoder_alone(teacher):
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    predicted_bytes(teacher, (1, 4, 2, 2, 2))  # the first one loads PyTorch's shape rules
    start_s = time.process_time()
    needed = predicted_bytes(teacher, (1, 4, 1000, 270, 480), chunk=4, tile=(32, 32))
    assert time.process_time() - start_s < 1.5
    assert needed > 2160 * 3840 * 3980 * 3 * 4  # the decoded frames alone
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(type(parameter) is torch.nn.Parameter for parameter in teacher.parameters())


def test_less_at_a_time_needs_less(teacher):
    shape = (1, 4, 16, 64, 64)
    whole, chunks, tiles = (
        predicted_bytes(teacher, shape, chunk=chunk, tile=tile, keep_frames=False)
        for chunk, tile in ((None, None), (2, None), (2, (8, 8)))
    )
    assert whole > 2 * chunks
    assert chunks > 1.2 * tiles
    given_before = 45 * 3 * 512 * 512 * 4  # the frames of all steps but the last two
    assert predicted_bytes(teacher, shape, chunk=2) - chunks == given_before


def test_a_stream_needs_the_same_at_any_length(teacher):
    needs = {predicted_bytes(teacher, (1, 4, t, 8, 8), chunk=1, keep_frames=False) for t in (3, 30, 300)}
    assert len(needs) == 1


def test_memory_is_counted_while_it_lives():
    with LiveBytes() as live:
        a = torch.zeros(1000)
        b = a.view(10, 100) + 1
        del a
        assert (live.live_bytes, live.peak_bytes) == (4000, 8000)
        b.mul_(2)
        assert live.peak_bytes == 8000
        del b
    assert live.live_bytes == 0


@pytest.mark.parametrize(
    ("shape", "kernel", "factor"),
    [((1, 12, 6, 64, 64), (3, 3, 3), 16 / 12), ((1, 2, 4, 8, 8), (3, 3, 3), 16 / 2), ((1, 2, 4, 8, 8), (3, 1, 1), 1.5)],
)
def test_a_convolution_takes_more_than_its_tensors(shape, kernel, factor):
    """Channels become sixteen in oneDNN's blocks, those of a small clip as well; in time alone a small one is unfolded
    into three columns for two frames.
    """
    x, weight = torch.zeros(shape), torch.zeros(4, shape[1], *kernel)
    stride, padding = (1, 1, 1), (0, kernel[1] // 2, kernel[2] // 2)
    arguments = (x, weight, None, stride, padding, stride, False, (0, 0, 0), 1)
    extra = convolution_workspace(arguments, torch.ops.aten.convolution.default(*arguments))
    assert extra >= x.numel() * 4 * factor


def test_free_memory_is_positive():
    if not Path("/proc/meminfo").is_file():
        pytest.skip("no /proc/meminfo on this system")
    assert free_bytes(torch.device("cpu")) > 0
