"""Decoders in a program that generates: its time in parts and as a whole, and what becomes of the same latents.

Every part and every whole is timed in the same ABBA blocks, so that the whole can be held against the sum of its parts.
Text and denoising do not depend on the arm; their samples stand under every arm.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.calibration import calibrate
from bench.device import gpu_state
from bench.footage import Contender, Footage
from bench.hosts import HOSTS, Host, Setup
from bench.memory import peak_increase_bytes
from bench.metrics import make_metric
from bench.placement import optimized
from bench.programs import decoder_named
from bench.prompts import Wanted, wanted_videos
from bench.spec import Arm
from bench.tasks.base import ARM_TASKS, Lineup, Row
from bench.tasks.profile import FIRST_FRAME_PLAN, timing_plan
from bench.tasks.speed import arm_row, machine_rows, verdict_rows
from bench.timing import Sample, interleaved, stopwatch_for
from flash_vaed.teacher import weights_fingerprint

OWN, COPY, STUDENT = "own", "copy", "student"  # what an arm's decoder can be besides a spec and a checkpoint
MADE = (OWN, COPY, STUDENT)
SHARED = ("text", "denoise")


@ARM_TASKS.register("generate")
def generate(lineup: Lineup) -> Iterator[Row]:
    """Rows of quality per video and arm, of times and memory per arm, of the machine, and of what may be quoted."""
    spec, making = lineup.spec, lineup.making
    assert spec.host is not None
    assert spec.prompts is not None
    setup = Setup(spec.host, lineup.device, making.teacher, making.self_forcing_root)
    kind = HOSTS.get(spec.host.name)
    if (reason := kind.unavailable(setup)) is not None:
        raise ValueError(reason)
    wanted = wanted_videos(spec.prompts, spec.seed)
    lineup.say("starting the host")
    host = kind.start(setup)
    contenders = [_contender(lineup, host, arm) for arm in spec.arms]
    for contender in contenders:  # what does not fit is said before anything is generated
        contender.takes_over(host)
    origin = f"{spec.teacher.fingerprint if kind.from_teacher else spec.host.model}, {lineup.device.type}"
    metrics = [make_metric(name) for name, _ in spec.metrics]
    footage = Footage(lineup.run_id, host, spec.host, origin, making.videos, making.cache, metrics)
    for number, video in enumerate(wanted):
        lineup.say(f"video {number + 1} of {len(wanted)}")
        yield from footage.rows(contenders, video)
    dtypes = [arm.runtime.dtype for arm in spec.arms]
    before = calibrate(lineup.device, dtypes)
    lineup.say("speed")
    samples = _samples(lineup, footage, contenders, wanted[0])
    yield from _time_rows(lineup, samples)
    after = calibrate(lineup.device, dtypes)
    yield from machine_rows(lineup, before, after)
    wholes = [sample for part, sample in samples if part == "end_to_end"]
    yield from verdict_rows(lineup, wholes, before.drift(after), gpu_state())
    if host.streams:
        lineup.say("first frames")
        yield from _first_rows(lineup, host, contenders, wanted[0])
    lineup.say("memory")
    z_NCthw = footage.latents(wanted[0])
    for contender in contenders:
        contender.takes_over(host)
        peak, method = peak_increase_bytes(lambda: host.decode(z_NCthw), lineup.device)
        yield arm_row(lineup, contender.arm.label, "peak_memory_bytes", float(peak), "byte", version=method)


def _contender(lineup: Lineup, host: Host, arm: Arm) -> Contender:
    """The arm's decoder on the device, as its runtime says."""
    lineup.say(f"decoder {arm.label}")
    if arm.decoder == OWN:
        return Contender(arm, None, weights_fingerprint(host.own))
    if arm.decoder == COPY:
        decoder = host.own
    elif arm.decoder == STUDENT:
        decoder = lineup.making.student()
    else:
        decoder = decoder_named(arm.decoder, lineup.spec.seed, ())
    return Contender(arm, optimized(decoder, lineup.device, arm.runtime), weights_fingerprint(decoder))


def _samples(
    lineup: Lineup, footage: Footage, contenders: Sequence[Contender], video: Wanted
) -> list[tuple[str, Sample]]:
    """Part and sample (of an arm; of no arm for what all share), in the order taken. The host decodes with one arm
    after the other; the change is not timed.
    """
    host = footage.host
    told, z_NCthw = host.text(video.text), footage.latents(video)
    calls: dict[str, Callable[[], Any]] = {
        "text": lambda: host.text(video.text),
        "denoise": lambda: host.denoise(told, video.seed),
    }
    taking = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        for contender in contenders:
            label = contender.arm.label
            contender.takes_over(host)
            frames = host.decode(z_NCthw).float().cpu()
            whole = _whole(footage, video, path)
            ways = {
                "decode": lambda: host.decode(z_NCthw),
                "write": _writing(footage, path, frames),
                "end_to_end": whole,
            }
            for part, call in ways.items():
                calls[f"{part} {label}"] = call
                taking[f"{part} {label}"] = contender

        def prepare(name: str) -> None:
            if name in taking:
                taking[name].takes_over(host)

        samples = interleaved(calls, timing_plan(lineup.spec.timing), stopwatch_for(lineup.device.type), prepare)
    named = []
    for sample in samples:
        part, _, label = sample.arm.partition(" ")
        named.append((part, Sample(label, sample.block, sample.repeat, sample.seconds, sample.host_seconds)))
    return named


def _whole(footage: Footage, video: Wanted, path: Path) -> Callable[[], None]:
    def whole() -> None:
        footage.write(path, footage.host.generate(video.text, video.seed).float().cpu())

    return whole


def _writing(footage: Footage, path: Path, x_NCTHW: Tensor) -> Callable[[], None]:
    return lambda: footage.write(path, x_NCTHW)


def _time_rows(lineup: Lineup, samples: Sequence[tuple[str, Sample]]) -> Iterator[Row]:
    labels = [arm.label for arm in lineup.spec.arms]
    for part, sample in samples:
        for label in labels if part in SHARED else [sample.arm]:
            yield arm_row(lineup, label, f"{part}_s", sample.seconds, "s", repeat=sample.repeat, version="abba-1")


def _first_rows(lineup: Lineup, host: Host, contenders: Sequence[Contender], video: Wanted) -> Iterator[Row]:
    """From prompt to the first frames, of hosts that show them before the clip is done."""
    by_label = {contender.arm.label: contender for contender in contenders}
    calls = {label: lambda: host.first_frames(video.text, video.seed) for label in by_label}
    watch = stopwatch_for(lineup.device.type)
    for sample in interleaved(calls, FIRST_FRAME_PLAN, watch, lambda label: by_label[label].takes_over(host)):
        yield arm_row(lineup, sample.arm, "first_frame_s", sample.seconds, "s", repeat=sample.repeat, version="abba-1")
