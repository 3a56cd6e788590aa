"""Where a decode's time goes: every stage of every arm, and how much of it its convolutions take.

The parts run one after the other with the device waited for in between; the convolutions are timed in passes of their
own, since stopping at each of them costs time. Costs of each stage stand beside, for a roofline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from bench.calibration import calibrate
from bench.records import measurement
from bench.tasks.base import ARM_TASKS, Lineup, Row
from bench.tasks.profile import cost_of_arm
from bench.tasks.speed import Entrant, absent_rows, machine_rows, started
from bench.timing import Stopwatch, stopwatch_for
from flash_vaed import Decoder
from flash_vaed.state import Stream

CONVOLUTIONS = (F.conv2d, F.conv3d, torch.mkldnn_convolution)


@ARM_TASKS.register("stages")
def stages(lineup: Lineup) -> Iterator[Row]:
    """Rows `stage_time_s` and `convolution_time_s` per arm, stage and pass, and the stages' costs."""
    for arm in lineup.spec.arms:
        if arm.runtime.compile is not None or arm.runtime.cuda_graph:
            raise ValueError(f"arm {arm.label}: a compiled step has no stages to be timed one by one")
    yield from absent_rows(lineup, "stage_time_s", "s")
    watch, timing = stopwatch_for(lineup.device.type), lineup.spec.timing
    entrants = [entrant for entrant, _ in started(lineup)]
    dtypes = [entrant.arm.runtime.dtype for entrant in entrants]
    before = calibrate(lineup.device, dtypes)
    for block in range(timing.max_blocks):  # the arms in turn
        lineup.say(f"pass {block + 1} of {timing.max_blocks}")
        for entrant in entrants if block % 2 == 0 else reversed(entrants):
            for metric, times in (("stage_time_s", stage_times), ("convolution_time_s", convolution_times)):
                for stage, seconds in times(decoder_of(entrant), entrant, watch).items():
                    yield measurement(
                        lineup.run_id, entrant.arm.label, metric, seconds, unit="s", higher_is_better=False,
                        stage=stage, repeat=block,
                    )  # fmt: skip
    yield from machine_rows(lineup, before, calibrate(lineup.device, dtypes))
    for entrant in entrants:
        itemsize = entrant.z_NCthw.dtype.itemsize
        yield from cost_of_arm(lineup.run_id, entrant.arm.label, entrant.plain.spec, timing, itemsize)


def decoder_of(entrant: Entrant) -> Decoder:
    """An arm's decoder; a peer's program has none and is a `ValueError`."""
    if entrant.running.decoder is None:
        raise ValueError(f"arm {entrant.arm.label}: only our own program can be stopped between stages")
    return entrant.running.decoder


@torch.no_grad()
def stage_times(decoder: Decoder, entrant: Entrant, watch: Stopwatch) -> dict[str, float]:
    """Seconds of every part for one clip."""
    stream, x, found = Stream.fresh(), entrant.z_NCthw, {}
    for name, part in decoder.parts().items():
        found[name], x = _timed(watch, lambda part=part, x=x: part(x, stream))  # type: ignore[misc]
    return found


@torch.no_grad()
def convolution_times(decoder: Decoder, entrant: Entrant, watch: Stopwatch) -> dict[str, float]:
    """Seconds that the convolutions of every part take for one clip."""
    stream, x, found = Stream.fresh(), entrant.z_NCthw, {}
    for name, part in decoder.parts().items():
        with _Convolutions(watch) as convolutions:
            x = part(x, stream)
        found[name] = convolutions.seconds
    return found


class _Convolutions(TorchFunctionMode):
    """Adds up the seconds of the convolutions that are called within it."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self._watch, self.seconds = watch, 0.0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in CONVOLUTIONS:
            return func(*args, **(kwargs or {}))
        seconds, result = _timed(self._watch, lambda: func(*args, **(kwargs or {})))
        self.seconds += seconds
        return result


def _timed(watch: Stopwatch, call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one call, and what it returned."""
    results: list[Any] = []
    seconds, _, _ = watch.time(lambda: results.append(call()))
    return seconds, results[0]
