"""How long a decoder takes, as a sum over its layers, each kind of layer timed once.

A stage runs its layers one after the other, so their times add up; what is not in the sum is the clamp at the end and
what caches carry over from one layer to the next. It is a prediction; `verify.py` measures.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import Tensor, nn

from bench.timing import TimingPlan, interleaved, stopwatch_for
from flash_vaed import Decoder, DecoderSpec
from flash_vaed.state import Stream

PLAN = TimingPlan(warmup_s=0.02, min_blocks=4, max_blocks=4, max_seconds=0.0)


class LayerTimes:
    """Seconds per layer on one device, by what the layer is and what it reads; measured on first use, then remembered.

    known: times from an earlier search on the same kind of device.
    """

    def __init__(self, z_NCthw: Tensor, known: dict[str, float] | None = None) -> None:
        self._z = z_NCthw
        self.seconds = dict(known or {})

    def decoder_s(self, spec: DecoderSpec) -> float:
        """The sum over a decoder of `spec`; its weights are random, which time does not depend on."""
        return sum(self.parts_s(spec).values())

    @torch.no_grad()
    def parts_s(self, spec: DecoderSpec) -> dict[str, float]:
        """Seconds of the entry, every stage and the head."""
        with torch.device("meta"):
            shadow = Decoder(spec)
            x = self._z.to("meta")
        found, real = {}, _Builder(spec, self._z)
        for name, part in shadow.parts().items():
            layers = part.layers() if hasattr(part, "layers") else {"": part}  # type: ignore[operator]
            found[name] = 0.0
            for inner, layer in layers.items():
                key = f"{_describe(layer)} on {tuple(x.shape)}"
                if key not in self.seconds:
                    self.seconds[key] = _time(real.layer(name, inner), self._noise(x))
                found[name] += self.seconds[key]
                x = layer(x, Stream.fresh())
        return found

    def _noise(self, like: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(like.shape, generator=generator).to(self._z.device, self._z.dtype)


class _Builder:
    """The decoder of a spec with random weights, built when the first of its layers is asked for."""

    def __init__(self, spec: DecoderSpec, like: Tensor) -> None:
        self._spec, self._like = spec, like
        self._decoder: Decoder | None = None

    def layer(self, part: str, inner: str) -> nn.Module:
        if self._decoder is None:
            self._decoder = Decoder(self._spec).to(self._like.device, self._like.dtype).eval()
        found: Any = self._decoder.parts()[part]
        return found.layers()[inner] if inner else found


def conditions(z_NCthw: Tensor, machine: str) -> dict[str, Any]:
    """What a stored time holds for, JSON-ready."""
    return {
        "machine": machine, "torch": torch.__version__, "threads": torch.get_num_threads(),
        "dtype": str(z_NCthw.dtype), "shape": list(z_NCthw.shape),
    }  # fmt: skip


def _describe(layer: nn.Module) -> str:
    """What decides a layer's time besides its input: its class and those of its parts, with the shapes of their
    tensors.
    """
    tensors = ", ".join(f"{name} {tuple(value.shape)}" for name, value in layer.named_parameters())
    parts = "+".join(dict.fromkeys(type(module).__name__ for module in layer.modules()))
    return f"{parts} ({tensors})"


def _time(layer: nn.Module, x: Tensor) -> float:
    """Median of a few calls."""
    samples = interleaved({"layer": lambda: layer(x, Stream.fresh())}, PLAN, stopwatch_for(x.device.type))
    return statistics.median(sample.seconds for sample in samples)
