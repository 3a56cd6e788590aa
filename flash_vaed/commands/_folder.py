"""A decoder written to a new folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from flash_vaed.checkpoint import save_decoder
from flash_vaed.decoder import Decoder


def new_folder(name: str) -> Path:
    """A folder that does not exist yet, or is empty; else a `ValueError`."""
    folder = Path(name)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"{folder} exists already; name a new folder")
    if not folder.absolute().parent.is_dir():
        raise ValueError(f"no folder {folder.parent} to make {folder.name} in")
    return folder


def write_decoder(decoder: Decoder, folder: Path, dtype: torch.dtype) -> None:
    """Store `decoder` in a folder from `new_folder`; a weight that `dtype` cannot hold is a `ValueError`."""
    for name, value in decoder.state_dict().items():
        if not value.to(dtype).isfinite().all():
            raise ValueError(f"{name} has values that {str(dtype)[6:]} cannot hold; choose another --dtype")
    partial = folder.absolute().with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        save_decoder(decoder, partial, dtype)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
