"""The kernels of `cpu.cpp`, compiled for this machine when they are first needed, as operators for compilers.

They take clips that lie channels last, in float32 or bfloat16. The compiler is the one `torch.compile` needs too;
without one, callers compute by PyTorch.

Legend: N batch, C channels, T frames, H W pixels; K the 27 taps, over time, rows and columns.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flash_vaed.memory_format import is_channels_last
from flash_vaed.operators.onednn import recorded_convolution

SOURCE = Path(__file__).with_suffix(".cpp")
FLAGS = (
    "-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fopenmp",
    "-shared", "-fPIC",
)  # fmt: skip
COMPILER_S = 120  # a compiler that takes longer hangs
LANES = 16
_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}

# defined by hand: what `torch.library.custom_op` puts around each call takes longer than a small kernel
_NORM_SILU, _DEPTHWISE_ROWS = "flash_vaed::norm_silu", "flash_vaed::depthwise_rows"
torch.library.define(_NORM_SILU, "(Tensor x, Tensor gain, float least, float more) -> Tensor")
torch.library.define(_DEPTHWISE_ROWS, "(Tensor past, Tensor x, Tensor taps) -> Tensor")


def runs_on_cpu(x_NCTHW: Tensor) -> bool:
    """Whether these kernels can take this clip: in eager mode, or in a graph that is recorded for this machine."""
    fits = x_NCTHW.device.type == "cpu" and x_NCTHW.dtype in _NAMES and is_channels_last(x_NCTHW)
    real = type(x_NCTHW) is Tensor and not torch.compiler.is_compiling()
    return fits and (real or recorded_convolution() is not None) and library() is not None


def norm_silu(x_NCTHW: Tensor, gain_C: Tensor, least: float, more: float) -> Tensor:
    """silu(gain * x / sqrt(max(m, least) + more)) with m the mean square of x over channels; all sums in float32."""
    made: Tensor = torch.ops.flash_vaed.norm_silu(x_NCTHW, gain_C, least, more)
    return made


@torch.library.impl(_NORM_SILU, "CPU")
def _(x_NCTHW: Tensor, gain_C: Tensor, least: float, more: float) -> Tensor:
    clip = _rows(x_NCTHW)
    out, gain, C = torch.empty_like(clip), gain_C.float().contiguous(), clip.shape[-1]
    _call("norm_silu", clip, gain, out, clip.numel() // C, C, least, more)
    return out.permute(0, 4, 1, 2, 3)


@torch.library.register_fake(_NORM_SILU)
def _(x_NCTHW: Tensor, gain_C: Tensor, least: float, more: float) -> Tensor:
    return torch.empty_like(x_NCTHW, memory_format=torch.channels_last_3d)


def depthwise_rows(past_NCTHW: Tensor, x_NCTHW: Tensor, taps_KC: Tensor) -> Tensor:
    """A causal depthwise 3x3x3 convolution of a clip behind two frames, or behind none where the clip begins.

    Channels come in steps of 16. Zeros around H and W, and in front of a clip that begins.
    """
    made: Tensor = torch.ops.flash_vaed.depthwise_rows(past_NCTHW, x_NCTHW, taps_KC)
    return made


@torch.library.impl(_DEPTHWISE_ROWS, "CPU")
def _(past_NCTHW: Tensor, x_NCTHW: Tensor, taps_KC: Tensor) -> Tensor:
    past, clip = _rows(past_NCTHW), _rows(x_NCTHW)
    N, T, H, W, C = clip.shape
    if C % LANES or past.shape[1] not in (0, 2):
        raise ValueError(f"channels in steps of {LANES} and 0 or 2 frames before, not {C} and {past.shape[1]}")
    out, taps = torch.empty_like(clip), taps_KC.float().contiguous()
    _call("depthwise", past, clip, taps, out, N, past.shape[1], T, H, W, C)
    return out.permute(0, 4, 1, 2, 3)


@torch.library.register_fake(_DEPTHWISE_ROWS)
def _(past_NCTHW: Tensor, x_NCTHW: Tensor, taps_KC: Tensor) -> Tensor:
    return torch.empty_like(x_NCTHW, memory_format=torch.channels_last_3d)


def _rows(x_NCTHW: Tensor) -> Tensor:
    return x_NCTHW.permute(0, 2, 3, 4, 1).contiguous()


def _call(kernel: str, *given: Tensor | int | float) -> None:
    """A kernel for the first tensor's dtype, on as many threads as PyTorch takes."""
    loaded, first = library(), given[0]
    assert loaded is not None
    assert isinstance(first, Tensor)
    getattr(loaded, f"{kernel}_{_NAMES[first.dtype]}")(*map(_passed, given), ctypes.c_int(torch.get_num_threads()))


def _passed(value: Tensor | int | float) -> Any:
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_int64(value) if isinstance(value, int) else ctypes.c_float(value)


@functools.lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The compiled kernels, from the user's cache if they lie there; where nothing compiles None, and a warning."""
    try:
        compiler = _compiler()
        made_of = (SOURCE.read_bytes(), " ".join((compiler, *FLAGS)).encode(), _cpu().encode())
        kept = _folder() / f"{hashlib.sha256(b'/'.join(made_of)).hexdigest()[:16]}.so"
        if not kept.exists():
            _compile(compiler, partial := kept.with_suffix(f".{os.getpid()}"))
            os.replace(partial, kept)
        return ctypes.CDLL(str(kept))
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().partition("\n")[0]
        warnings.warn(f"no kernels for this CPU ({said}); computing by PyTorch", stacklevel=2)
        return None


def _compiler() -> str:
    named = os.environ.get("CXX")
    for name in (named,) if named else ("c++", "g++", "clang++"):
        if (found := shutil.which(name)) is not None:
            return found
    raise FileNotFoundError(f"no C++ compiler {named!r}" if named else "no C++ compiler; apt install g++")


def _compile(compiler: str, target: Path) -> None:
    command = [compiler, *FLAGS, "-o", str(target), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMPILER_S)


def _folder() -> Path:
    """Where compiled kernels are kept: the user's cache, or for this process alone where that cannot be written."""
    with contextlib.suppress(OSError, RuntimeError):  # the latter of a user without a home
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "flash-vaed" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="flash-vaed-"))


def _cpu() -> str:
    """What this processor can do: a home folder may be shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if line.startswith(("flags", "Features"))]
    return f"{platform.machine()} {platform.processor()} {told[0] if told else ''}"
