"""Turn a checkpoint of any known layout into a flash_vaed folder: decoder.json and decoder.safetensors.

  python -m flash_vaed convert Wan2.1_VAE.pth wan2.1/ --dtype float16
Only the decoder is kept. The folder must not exist yet, or be empty.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from flash_vaed.checkpoint import save_decoder
from flash_vaed.commands._arguments import DTYPES, add_dtype, parser_of
from flash_vaed.commands._decoders import found, spec_named
from flash_vaed.decoder import Decoder


def main(argv: list[str]) -> int:
    parser = parser_of("convert", __doc__)
    parser.add_argument("source", metavar="IN", help="a checkpoint, a folder, or bundled")
    parser.add_argument("folder", metavar="OUT", help="the folder to write")
    add_dtype(parser, "of the stored weights")
    given = parser.parse_args(argv)
    folder = Path(given.folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"{folder} exists already; name a new folder")
    if not folder.absolute().parent.is_dir():
        raise ValueError(f"no folder {folder.parent} to make {folder.name} in")
    if spec_named(given.source) is not None:
        raise ValueError(f"{given.source} is a spec without weights; convert takes a checkpoint")
    layout, decoder = found(given.source)
    _check_range(decoder, DTYPES[given.dtype])
    partial = folder.absolute().with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        save_decoder(decoder, partial, DTYPES[given.dtype])
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    parameters = sum(p.numel() for p in decoder.parameters())
    print(f"{folder}: {decoder.spec.family} decoder of {parameters:,} parameters, {given.dtype}, from {layout}")
    return 0


def _check_range(decoder: Decoder, dtype: torch.dtype) -> None:
    for name, value in decoder.state_dict().items():
        if not value.to(dtype).isfinite().all():
            raise ValueError(f"{name} has values that {str(dtype)[6:]} cannot hold; choose another --dtype")
