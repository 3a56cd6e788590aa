"""How a decoder computes, as a value: the same for teacher and student, and never what it computes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from flash_vaed.runtime.rewrites import in_order

DTYPES = ("float32", "bfloat16", "float16")
COMPILE_MODES = ("default", "max-autotune-no-cudagraphs")


@dataclass(frozen=True)
class RuntimeOptions:
    """The default is PyTorch as it comes.

    dtype: of weights, activations and frames; norms are reduced in float32 whatever it is. rewrites: names of
    `flash_vaed.runtime.rewrites`, exact but for rounding. channels_last: clips and weights lie channels last in memory.
    compile: a mode of `torch.compile`, or None; every shape is compiled once, as a whole. cuda_graph: a step is
    recorded once and replayed, which spares the launches.
    """

    dtype: str = "float32"
    rewrites: tuple[str, ...] = ()
    channels_last: bool = False
    compile: str | None = None
    cuda_graph: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is one of {', '.join(DTYPES)}, not {self.dtype!r}")
        if self.compile is not None and self.compile not in COMPILE_MODES:
            raise ValueError(f"compile is one of {', '.join(COMPILE_MODES)}, or nothing, not {self.compile!r}")
        object.__setattr__(self, "rewrites", in_order(tuple(self.rewrites)))

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype itself."""
        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype


_REWRITES = ("values", "composed", "subpixel", "depthwise", "norms")

EXACT = RuntimeOptions(rewrites=_REWRITES, channels_last=True, compile="default")
"""The same frames up to rounding, in float32."""

FAST = dataclasses.replace(EXACT, dtype="bfloat16")
"""For a CPU, or any recent GPU: bfloat16 weights."""

FAST_GPU = RuntimeOptions(
    "float16", ("values", "composed", "subpixel", "attention", "depthwise", "narrow"), True, "default", cuda_graph=True
)
"""For a CUDA device: float16 weights, which are closer to float32, kernels for what cuDNN does slowly, CUDA graphs."""
