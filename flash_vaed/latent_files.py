"""Latents in files: PyTorch archives, safetensors, NumPy arrays; read by content, without running any code in them.

Latents are what one machine makes and another decodes, so the files come from strangers. What is no plain tensor of
latents is refused in one line, whatever the file is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from flash_vaed.tensors import ZIP, CheckpointError, check_plain, first_bytes, members, read_archive, read_safetensors
from flash_vaed.whole_file import whole_file

KEYS = ("latents", "latent", "z", "samples")  # under which tools store them, next to other tensors
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NPY = b"\x93NUMPY"


def read_latents(path: str | Path) -> Tensor:
    """Latents (N, C, t, h, w) in the file's floating-point type; a file of (C, t, h, w) gets N = 1.

    .pt and .pth (tensors and plain containers only), .safetensors, .npy and .npz, told apart by content. Of a
    dictionary the only tensor is taken, or the one called latents, latent, z or samples. A damaged file, or one that
    would run code, is a `CheckpointError`; another rank, whole numbers, NaN or infinity a `ValueError`.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"no file {file}")
    z = _only_tensor(_content(file), file)
    check_plain({"the tensor of latents": z}, file)
    if z.ndim not in (4, 5) or 0 in z.shape:
        raise ValueError(
            f"{file} holds a tensor of shape {tuple(z.shape)}; latents are (N, C, t, h, w) or (C, t, h, w)"
        )
    if z.dtype not in FLOATS:
        raise ValueError(f"{file} holds {z.dtype} numbers; latents are float16, bfloat16, float32 or float64")
    bad = int((~z.isfinite()).sum())
    if bad:
        raise ValueError(
            f"{file}: {bad} of {z.numel()} values are NaN or infinite; these latents were damaged when made"
        )
    return z[None] if z.ndim == 4 else z


def save_latents(z_NCthw: Tensor, path: str | Path) -> None:
    """Write latents by suffix: .safetensors (key `latents`), .npy (float32) or .pt; whole, or not at all."""
    file = Path(path)
    if file.suffix not in WRITERS:
        raise ValueError(f"latents are written as {', '.join(WRITERS)}, not {file.name!r}")
    with whole_file(file) as partial:
        WRITERS[file.suffix](z_NCthw.detach().cpu().contiguous(), partial)


def _write_npy(z_NCthw: Tensor, file: Path) -> None:
    with file.open("wb") as handle:
        np.save(handle, z_NCthw.float().numpy())  # NumPy has no bfloat16


WRITERS: Mapping[str, Callable[[Tensor, Path], None]] = {
    ".safetensors": lambda z_NCthw, file: save_file({"latents": z_NCthw}, file),
    ".npy": _write_npy,
    ".pt": torch.save,
}


def _content(file: Path) -> object:
    start = first_bytes(file)
    if start.startswith(_NPY):
        return _arrays(file)
    if start.startswith(ZIP):
        return _arrays(file) if _is_npz(file) else read_archive(file)
    if start[8:9] == b"{":
        return read_safetensors(file)
    if start[:1] == b"\x80":
        return read_archive(file)
    raise CheckpointError(f"{file} is no latent file: neither safetensors nor a PyTorch archive nor a NumPy array")


def _is_npz(file: Path) -> bool:
    names = members(file)
    return bool(names) and all(name.endswith(".npy") for name in names)


def _arrays(file: Path) -> object:
    """NumPy arrays as tensors; an array of objects would be a pickle and is refused."""
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return torch.from_numpy(loaded)
        with loaded:
            return {name: torch.from_numpy(loaded[name]) for name in loaded.files}
    except Exception as error:  # on a damaged file the reader raises whatever it trips over
        raise CheckpointError(f"cannot read {file}: {' '.join(str(error).split())[:200]}") from error


def _only_tensor(content: object, file: Path) -> Tensor:
    if isinstance(content, Tensor):
        return content
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{file} holds no tensor but a {type(content).__name__}")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    named = [tensors[key] for key in KEYS if key in tensors] or list(tensors.values())
    if len(named) != 1:
        shown = ", ".join(list(tensors)[:5]) or "none"
        raise CheckpointError(f"{file} holds {len(tensors)} tensors ({shown}); which are latents? call them 'latents'")
    return named[0]
