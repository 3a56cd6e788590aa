"""Named decoders side by side: how fast each is, what it needs, and what its frames lost to speed.

All arms decode the same latents, in turn, in one process, and each is compared with the same weights run plainly in
float32. A program that is not here leaves rows that say so. Whether the numbers may be quoted is a row as well: the
interval of the ratio must be narrow, and the machine must have stayed the same.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.analysis.arms import MACHINE
from bench.analysis.bootstrap import SAMPLES_PER_BLOCK, ratio_of_medians
from bench.calibration import Calibration, calibrate
from bench.device import gpu_state, slowed_down
from bench.energy import find_meter, joules_per_call
from bench.memory import peak_increase_bytes, reserved_bytes
from bench.metrics.psnr import Psnr
from bench.placement import placed
from bench.programs import Running, decoder_named
from bench.records import measurement
from bench.spec import Arm
from bench.tasks.base import ARM_TASKS, Lineup, Row
from bench.tasks.profile import FIRST_FRAME_PLAN, cost_of_arm, noise_latents, timing_plan
from bench.timing import Sample, interleaved, stopwatch_for
from flash_vaed import Decoder

HALF_WIDTH = {"cuda": 0.01, "cpu": 0.05}  # of the interval of the ratio, relative; more is not quoted
PLAIN_CHUNK = 4  # latents at a time of the float32 frames, which a teacher's clip would not fit a GPU for otherwise
TF32 = "float32 as PyTorch computes it on a GPU: convolutions in TF32, ten bits of mantissa like float16"
DRIFT = {"cuda": 0.02, "cpu": 0.1}  # of the calibration, from start to end


@dataclass(frozen=True)
class Entrant:
    """One arm, started. plain: its weights as a decoder of ours in float32. z_NCthw: what it decodes. held_bytes: what
    it keeps between decodes.
    """

    arm: Arm
    plain: Decoder
    running: Running
    z_NCthw: Tensor
    held_bytes: int

    def decode(self) -> Tensor:
        return self.running.decode(self.z_NCthw)

    def first(self) -> object:
        return self.running.first(self.z_NCthw)


@ARM_TASKS.register("speed")
def speed(lineup: Lineup) -> Iterator[Row]:
    """Rows of time, loss, memory, energy and cost for every arm, of the machine, and of what may be quoted."""
    yield from absent_rows(lineup, "decode_time_s", "s")
    entrants = []
    for entrant, cold_s in started(lineup):
        entrants.append(entrant)
        yield arm_row(lineup, entrant.arm.label, "cold_start_s", cold_s, "s")
    lineup.say("loss")
    yield from loss_rows(lineup, entrants)
    device, dtypes = lineup.device, [e.arm.runtime.dtype for e in entrants]
    before = calibrate(device, dtypes)
    lineup.say("speed")
    samples = interleaved(
        {e.arm.label: e.decode for e in entrants}, timing_plan(lineup.spec.timing), stopwatch_for(device.type)
    )
    yield from sample_rows(lineup, "decode_time_s", samples)
    lineup.say("first frame")
    streaming = [e for e in entrants if gives_first_frames(e)]
    if firsts := {e.arm.label: e.first for e in streaming}:
        taken = interleaved(firsts, FIRST_FRAME_PLAN, stopwatch_for(device.type))
        yield from sample_rows(lineup, "first_frame_s", taken)
    yield from _steady_rows(lineup, streaming)
    after = calibrate(device, dtypes)
    yield from machine_rows(lineup, before, after)
    yield from verdict_rows(lineup, samples, before.drift(after), gpu_state())
    lineup.say("memory")
    for entrant in entrants:
        yield from _need_rows(lineup, entrant)
    lineup.say("energy")
    yield from _energy_rows(lineup, entrants)


def started(lineup: Lineup) -> Iterator[tuple[Entrant, float]]:
    """Every arm whose program is here, and the seconds of its first decode: compiling, choosing kernels."""
    spec, watch = lineup.spec, stopwatch_for(lineup.device.type)
    plains: dict[str, Decoder] = {}
    for arm in spec.arms:
        if arm.program in lineup.absent:
            continue
        lineup.say(f"starting {arm.label}")
        if arm.decoder not in plains:
            plains[arm.decoder] = decoder_named(arm.decoder, spec.seed, lineup.programs.values())
        plain = plains[arm.decoder]
        z_NCthw = noise_latents(plain.spec, spec.timing).to(lineup.device, getattr(torch, arm.runtime.dtype))
        before = reserved_bytes(lineup.device)
        running = lineup.programs[arm.program].start(arm, plain, spec.seed, lineup.device)
        cold_s = watch.time(lambda running=running, z=z_NCthw: running.decode(z))[0]  # type: ignore[misc]
        after = reserved_bytes(lineup.device)
        weights = sum(parameter.numel() for parameter in plain.parameters()) * z_NCthw.dtype.itemsize
        held = weights if before is None or after is None else after - before
        yield Entrant(arm, plain, running, z_NCthw, held), cold_s


def gives_first_frames(entrant: Entrant) -> bool:
    """Whether one latent makes frames: not where the decoder looks ahead, nor where recorded steps take several."""
    runtime = entrant.arm.runtime
    return not entrant.plain.spec.looks_ahead and (not runtime.cuda_graph or runtime.chunk == 1)


def absent_rows(lineup: Lineup, metric: str, unit: str) -> Iterator[Row]:
    """A gap for every arm whose program is not here; where that leaves none, a `ValueError`."""
    missing = [arm for arm in lineup.spec.arms if arm.program in lineup.absent]
    if len(missing) == len(lineup.spec.arms):
        raise ValueError(f"none of the arms can run here: {lineup.absent[missing[0].program]}")
    for arm in missing:
        yield arm_row(lineup, arm.label, metric, None, unit, note=lineup.absent[arm.program])


def loss_rows(lineup: Lineup, entrants: Sequence[Entrant]) -> Iterator[Row]:
    """PSNR and largest difference of every arm's frames against the same weights run plainly in float32."""
    plains: dict[tuple[str, str], Tensor] = {}  # arms of one decoder and dtype get the same latents
    for entrant in entrants:
        arm = entrant.arm
        key = arm.decoder, arm.runtime.dtype
        if key not in plains:
            plain = placed(entrant.plain, lineup.device, torch.float32)
            with torch.backends.cudnn.flags(allow_tf32=True):  # without it a teacher's clip takes a GPU minutes
                plains[key] = plain.decode(entrant.z_NCthw.float(), chunk=PLAIN_CHUNK, expect=None).cpu()
        frames, expected = entrant.decode().float().clamp(-1, 1).cpu(), plains[key]
        if frames.shape != expected.shape:
            raise ValueError(f"{arm.label} gives {tuple(frames.shape)}, not {tuple(expected.shape)} frames")
        note = TF32 if lineup.device.type == "cuda" else None
        for frame, value in enumerate(Psnr()(expected[0], frames[0]).tolist()):
            yield arm_row(
                lineup, arm.label, "psnr", value, "dB", higher=True, against="float32", frame=frame, note=note
            )
        largest = (frames - expected).abs().max().item()
        yield arm_row(lineup, arm.label, "max_abs", largest, "1", against="float32", note=note)


def sample_rows(lineup: Lineup, metric: str, samples: list[Sample]) -> Iterator[Row]:
    """Every sample as a row, and where there are such, the host's and the device's own."""
    for s in samples:
        yield arm_row(lineup, s.arm, metric, s.seconds, "s", repeat=s.repeat, version="abba-1")
        if s.device_seconds is not None:
            yield arm_row(lineup, s.arm, f"host_{metric}", s.host_seconds, "s", repeat=s.repeat, version="abba-1")
            yield arm_row(lineup, s.arm, f"device_{metric}", s.device_seconds, "s", repeat=s.repeat, version="events-1")


def verdict_rows(lineup: Lineup, samples: list[Sample], drift: float, clocks: dict[str, str]) -> Iterator[Row]:
    """`accepted` per arm: 1, or 0 with every reason against quoting it."""
    kind, base = lineup.device.type, samples[0].arm
    times = {arm: np.array([s.seconds for s in samples if s.arm == arm]) for arm in {s.arm for s in samples}}
    common = []
    if drift > DRIFT[kind]:
        common.append(f"the machine's own speed changed by {drift:.1%} during the timing")
    if (reason := slowed_down(clocks)) is not None:
        common.append(f"the GPU throttled ({reason})")
    for arm, seconds in times.items():
        blocks = np.arange(len(seconds)) // SAMPLES_PER_BLOCK
        ratio = ratio_of_medians(times[base], seconds, blocks)
        half_width = (ratio.high - ratio.low) / 2 / ratio.value
        wide = not half_width <= HALF_WIDTH[kind]
        said = (
            "one block gives no interval"
            if np.isnan(half_width)
            else (f"the interval of the ratio is {half_width:.1%} to each side")
        )
        reasons = [said] * wide + common
        yield arm_row(lineup, arm, "accepted", float(not reasons), "1", higher=True, note="; ".join(reasons) or None)


def _steady_rows(lineup: Lineup, entrants: list[Entrant]) -> Iterator[Row]:
    """Seconds of one later latent in a stream of single ones, of our own arms; and the bytes of the state."""
    calls: dict[str, Callable[[], object]] = {}
    for entrant in entrants:
        decoder, z_NCthw = entrant.running.decoder, entrant.z_NCthw
        recorded = entrant.arm.runtime.cuda_graph  # whose states do not outlive two steps
        if decoder is None or recorded or z_NCthw.shape[2] < 2:
            continue
        state = decoder.init_state()
        for i in (0, 1):
            _, state = decoder.step(z_NCthw[:, :, i : i + 1], state)
        yield arm_row(lineup, entrant.arm.label, "state_bytes", float(state.nbytes()), "byte", version="measured-1")
        calls[entrant.arm.label] = lambda d=decoder, z=z_NCthw[:, :, 1:2], s=state: d.step(z, s)  # type: ignore[misc]
    if calls:
        yield from sample_rows(
            lineup, "steady_step_s", interleaved(calls, FIRST_FRAME_PLAN, stopwatch_for(lineup.device.type))
        )


def machine_rows(lineup: Lineup, before: Calibration, after: Calibration) -> Iterator[Row]:
    """What the machine gave per second before and after."""
    for repeat, found in enumerate((before, after)):
        for dtype, rate in found.matmul_flops.items():
            yield arm_row(lineup, MACHINE, f"matmul_flops_{dtype}", rate, "FLOP/s", higher=True, repeat=repeat)
        yield arm_row(lineup, MACHINE, "copy_bytes", found.copy_bytes, "byte/s", higher=True, repeat=repeat)
        yield arm_row(lineup, MACHINE, "launch_s", found.launch_s, "s", repeat=repeat)


def _need_rows(lineup: Lineup, entrant: Entrant) -> Iterator[Row]:
    """What the arm holds and the peak of a decode above what is in use; parameters, MACs, least bytes."""
    gc.collect()
    peak, method = peak_increase_bytes(entrant.decode, lineup.device)
    itemsize = entrant.z_NCthw.dtype.itemsize
    needed = float(entrant.held_bytes + peak)
    yield arm_row(lineup, entrant.arm.label, "peak_memory_bytes", needed, "byte", version=method)
    yield from cost_of_arm(lineup.run_id, entrant.arm.label, entrant.plain.spec, lineup.spec.timing, itemsize)


def _energy_rows(lineup: Lineup, entrants: list[Entrant]) -> Iterator[Row]:
    """Joules per frame where the machine has a meter, else a gap that says so."""
    meter = find_meter(lineup.device.type)
    frames = lineup.spec.timing.frames * lineup.spec.timing.batch
    if meter is None:
        note = "no energy counter here: neither NVML's, tegrastats, nor a readable RAPL"
        yield arm_row(lineup, MACHINE, "energy_per_frame_j", None, "J/frame", note=note)
        return
    try:
        for entrant in entrants:
            joules, calls = joules_per_call(meter, entrant.decode, stopwatch_for(lineup.device.type).synchronize)
            yield arm_row(
                lineup, entrant.arm.label, "energy_per_frame_j", joules / frames, "J/frame", version=meter.method,
                repeat=calls,
            )  # fmt: skip
        start_j, start_s = meter.joules(), time.perf_counter()
        time.sleep(2.0)
        idle_w = (meter.joules() - start_j) / (time.perf_counter() - start_s)
        yield arm_row(lineup, MACHINE, "idle_power_w", idle_w, "W", version=meter.method)
    finally:
        meter.close()


def arm_row(
    lineup: Lineup, arm: str, metric: str, value: float | None, unit: str, higher: bool = False, version: str = "1",
    note: str | None = None, against: str | None = None, frame: int | None = None, repeat: int | None = None,
) -> Row:  # fmt: skip
    return measurement(
        lineup.run_id, arm, metric, value, unit=unit, higher_is_better=higher, metric_version=version, note=note,
        against=against, frame=frame, repeat=repeat,
    )  # fmt: skip
