"""Tensors from files of strangers: safetensors, or PyTorch archives read without running any code in them."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

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
            return {str(key): value for key, value in tensors.items()}
    raise CheckpointError(f"{file} holds no dictionary of tensors but a {type(content).__name__}")


def read_archive(file: Path) -> object:
    """What a PyTorch archive holds, restricted to tensors and plain containers."""
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
    return start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[8:] != b"{")


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
