"""Speed, memory and cost of the student beside its teacher, each in a pass of its own.

Both arms decode the same latents, with the same options, in one process and in turn. The latents are noise of unit
scale: time and memory do not depend on what they show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench.memory import peak_increase_bytes
from bench.records import measurement
from bench.spec import Timing
from bench.tasks.base import TASKS, Row, Workbench
from bench.timing import TimingPlan, interleaved, stopwatch_for
from flash_vaed import Decoder, DecoderSpec
from flash_vaed.cost import DecoderCost, PartCost, decoder_cost

FIRST_FRAME_PLAN = TimingPlan(warmup_s=0.0, min_blocks=3, max_blocks=10, max_seconds=1.0)


@TASKS.register("profile")
def profile(bench: Workbench) -> Iterator[Row]:
    """Rows of decode time, first-frame time, peak memory, parameters and multiply-accumulates for both arms."""
    z_NCthw = timed_latents(bench)
    bench.say("speed")
    yield from speed_rows(bench, z_NCthw)
    bench.say("memory")
    yield from memory_rows(bench, z_NCthw)
    yield from cost_rows(bench)


def timed_latents(bench: Workbench) -> Tensor:
    """The latents that are timed: one clip of `timing.frames` x `timing.height` x `timing.width`."""
    return noise_latents(bench.teacher.decoder.spec, bench.spec.timing).to(bench.device, bench.dtype)


def noise_latents(decoder: DecoderSpec, timing: Timing) -> Tensor:
    """Raw latents (N, C, t, h, w) of clips of the timed shape: noise of the spread that real ones have."""
    shape = (timing.batch, decoder.latents.channels, *decoder.latent_shape(timing.frames, timing.height, timing.width))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return decoder.latents.denormalize(noise)


def timing_plan(timing: Timing) -> TimingPlan:
    """How long a run measures."""
    return TimingPlan(timing.warmup_s, timing.min_blocks, timing.max_blocks, timing.max_seconds, timing.min_sample_s)


def arms_of(bench: Workbench) -> dict[str, Decoder]:
    """The two decoders that are compared, by the name of their rows."""
    return {"teacher": bench.teacher_decoder, "student": bench.student}


def speed_rows(bench: Workbench, z_NCthw: Tensor) -> Iterator[Row]:
    """Seconds of whole-clip decodes, and from the first latent to the first frame; every sample is a row."""
    timing = bench.spec.timing
    plan = timing_plan(timing)
    whole = {arm: _whole_clip(decoder, z_NCthw, bench.spec.runtime.chunk) for arm, decoder in arms_of(bench).items()}
    first = {arm: _first_frame(decoder, z_NCthw) for arm, decoder in arms_of(bench).items()}
    for metric, calls, how in (("decode_time_s", whole, plan), ("first_frame_s", first, FIRST_FRAME_PLAN)):
        for sample in interleaved(calls, how, stopwatch_for(bench.device.type)):
            yield measurement(
                bench.run_id, sample.arm, metric, sample.seconds, unit="s", higher_is_better=False,
                metric_version="abba-1", repeat=sample.repeat,
            )  # fmt: skip


def memory_rows(bench: Workbench, z_NCthw: Tensor) -> Iterator[Row]:
    """Bytes each arm needs: its weights, and the peak of one decode above what was in use before."""
    for arm, decoder in arms_of(bench).items():
        peak, method = peak_increase_bytes(_whole_clip(decoder, z_NCthw, bench.spec.runtime.chunk), bench.device)
        weights = sum(parameter.numel() * parameter.element_size() for parameter in decoder.parameters())
        yield measurement(
            bench.run_id, arm, "peak_memory_bytes", float(peak + weights), unit="byte", higher_is_better=False,
            metric_version=method,
        )  # fmt: skip


def cost_rows(bench: Workbench) -> Iterator[Row]:
    """The cost of both arms."""
    for arm, decoder in arms_of(bench).items():
        yield from cost_of_arm(bench.run_id, arm, decoder.spec, bench.spec.timing, bench.dtype.itemsize)


def cost_of_arm(run_id: str, arm: str, decoder: DecoderSpec, timing: Timing, element_bytes: int) -> Iterator[Row]:
    """Parameters, MACs and least bytes per output frame at the timed shape, whole and per stage; the state's bytes."""
    cost = decoder_cost(decoder, timing.frames, timing.height, timing.width, element_bytes)
    parts: list[tuple[str | None, DecoderCost | PartCost]] = [(None, cost), *cost.parts.items()]
    counted: list[tuple[str | None, str, float, str]] = [
        (stage, "parameters", part.parameters, "1") for stage, part in parts
    ]
    counted += [(stage, "macs_per_frame", part.macs_per_frame, "MAC/frame") for stage, part in parts]
    counted += [(stage, "min_bytes_per_frame", part.min_bytes_per_frame, "byte/frame") for stage, part in parts]
    counted.append((None, "state_bytes", cost.state_bytes, "byte"))
    for stage, metric, value, unit in counted:
        yield measurement(run_id, arm, metric, float(value), unit=unit, higher_is_better=False, stage=stage)


def _whole_clip(decoder: Decoder, z_NCthw: Tensor, chunk: int | None) -> Callable[[], object]:
    return lambda: decoder.decode(z_NCthw, chunk=chunk, expect=None)


def _first_frame(decoder: Decoder, z_NCthw: Tensor) -> Callable[[], object]:
    return lambda: decoder.step(z_NCthw[:, :, :1], decoder.init_state())
