"""Teachers and decoders on the device that computes. What is given stays where it is; copies are moved."""

from __future__ import annotations

import copy

import torch
from torch import nn

from bench.spec import Runtime
from flash_vaed import Decoder, Teacher
from flash_vaed.runtime import RuntimeOptions, optimize


def on_device(teacher: Teacher, device: torch.device) -> Teacher:
    """A teacher that takes clips and gives latents on `device`; an encoder that is no module computes on the CPU."""
    if device.type == "cpu":
        return teacher
    decoder, encoder = copy.deepcopy(teacher.decoder).to(device), teacher.encoder
    if isinstance(encoder, nn.Module):
        return Teacher(teacher.name, decoder, copy.deepcopy(encoder).to(device))
    return Teacher(teacher.name, decoder, lambda x_NCTHW: encoder(x_NCTHW.cpu()).to(device))


def placed(decoder: Decoder, device: torch.device, dtype: torch.dtype) -> Decoder:
    """A copy of `decoder` on `device` in `dtype`, ready to decode."""
    return copy.deepcopy(decoder).to(device, dtype).eval()


def options_of(runtime: Runtime) -> RuntimeOptions:
    """What a run asks of the decoders it times."""
    return RuntimeOptions(
        runtime.dtype, runtime.rewrites, runtime.channels_last, runtime.compile, runtime.cuda_graph
    )  # fmt: skip


def optimized(decoder: Decoder, device: torch.device, runtime: Runtime) -> Decoder:
    """A copy of `decoder` on `device` that computes as `runtime` says."""
    options = options_of(runtime)
    if options == RuntimeOptions(dtype=options.dtype):
        return placed(decoder, device, options.torch_dtype)
    return optimize(placed(decoder, device, torch.float32), options)
