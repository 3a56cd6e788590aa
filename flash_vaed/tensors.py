"""Tensors from files of strangers: safetensors, or PyTorch archives read without running any code in them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

UNPACKED_FREE = 256 << 20  # bytes that any archive may unpack to ...
UNPACKED_TIMES = 20  # ... and how often its own size beyond that: tensors hardly shrink
ZIP = b"PK\x03\x04"
CONTAINERS = ("state_dict", "model", "model_state_dict", "ema", "generator_ema")


class CheckpointError(ValueError):
    """A folder or file that cannot be loaded; the message says what is wrong with it, in one line."""


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Named tensors of a safetensors file or a PyTorch archive, told apart by content.

    A dictionary of tensors inside another one (`state_dict`, `model` ...) is taken out of it. Anything that is damaged,
    holds other things than tensors, or would run code is a `CheckpointError`.
    """
    content = read_archive(file) if _is_torch_archive(file) else read_safetensors(file)
    if isinstance(content, dict):
        inner = [content[name] for name in CONTAINERS if isinstance(content.get(name), dict)]
        tensors = inner[0] if len(inner) == 1 else content
        if tensors and all(isinstance(value, Tensor) for value in tensors.values()):
            named = {str(key): value for key, value in tensors.items()}
            check_plain(named, file)
            return named
    raise CheckpointError(f"{file} holds no dictionary of tensors but a {type(content).__name__}")


def check_plain(tensors: Mapping[str, Tensor], file: Path) -> None:
    """`CheckpointError` for a tensor that is not dense, or whose numbers are not all in the file: a few bytes with
    strides of 0 stand for terabytes as soon as anything is computed.
    """
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise CheckpointError(f"{file}: {name} is no dense tensor of plain numbers")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{file}: {name} of shape {tuple(tensor.shape)} is larger than what is stored of it")


def members(file: Path) -> list[str]:
    """Names in a zip archive; a `CheckpointError` for a damaged one, and for one that unpacks to absurdly much."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = archive.infolist()
            packed = file.stat().st_size
    except Exception as error:  # on a damaged archive the reader raises whatever it trips over
        raise CheckpointError(f"cannot read {file}: a damaged or truncated archive") from error
    unpacked = sum(member.file_size for member in found)
    if unpacked > max(UNPACKED_FREE, UNPACKED_TIMES * packed):
        raise CheckpointError(f"{file} would unpack to {unpacked} bytes, far more than its {packed}; it is not read")
    return [member.filename for member in found]


def read_archive(file: Path) -> object:
    """What a PyTorch archive holds, restricted to tensors and plain containers."""
    if first_bytes(file).startswith(ZIP):
        members(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{file} is damaged, or holds more than tensors and could run code; only weights are read: save them anew "
            "with safetensors or torch.save(state_dict)"
        ) from error
    except Exception as error:  # on a damaged archive the reader raises whatever it trips over
        raise CheckpointError(f"cannot read {file}: {_one_line(error)}") from error


def _is_torch_archive(file: Path) -> bool:
    """A zip archive or a bare pickle; safetensors begin with a length and a brace."""
    start = first_bytes(file)
    return start.startswith(ZIP) or (start[:1] == b"\x80" and start[8:] != b"{")


def first_bytes(file: Path) -> bytes:
    """The nine bytes that tell the formats apart."""
    try:
        with file.open("rb") as handle:
            return handle.read(9)
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {_one_line(error)}") from error


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """What a safetensors file holds."""
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {file}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
