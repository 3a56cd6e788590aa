"""Work that several runs share, stored under the hash of everything that led to it.

An artefact is one safetensors file: tensors plus a small JSON document. Its name is the sha256 of the canonical JSON
of its key and of the code that makes it, so a changed input is a different file and nothing is ever stale. Files
appear by rename only, and carry a digest of their tensors: one that is torn or altered is noticed, named in a warning
and made again.

Any number of processes, on any machines that share the folder, may use one cache: who wants what another is making
waits for it. The lock is the file system's, so a process that dies sets the next one to work. Where the file system
has none, both make the same artefact and the later rename wins: that costs work and harms nothing.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bench.locks import alone
from bench.paths import ROOT
from bench.records.write import sweep_partials, write_atomically

SOURCES = (  # the code whose results are kept; a change in it, comments aside, makes every artefact anew
    "bench/data", "bench/evaluation.py", "bench/lessons.py", "bench/prepare.py", "bench/training.py",
    "flash_vaed/decoder.py", "flash_vaed/distill", "flash_vaed/families", "flash_vaed/lpips.py",
    "flash_vaed/operators", "flash_vaed/optim.py", "flash_vaed/patch_encoder.py", "flash_vaed/pruning",
    "flash_vaed/spec.py", "flash_vaed/state.py", "flash_vaed/teacher.py",
)  # fmt: skip


@dataclass
class Artefact:
    """What the cache holds: named tensors, and whatever of it is not a tensor (JSON values only)."""

    tensors: dict[str, Tensor]
    document: dict[str, Any] = field(default_factory=dict)


def digest(key: Mapping[str, Any]) -> str:
    """sha256 (64 hex digits) of the canonical JSON of `key`: the order of keys does not matter, every value does."""
    text = json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """16 hex digits over the syntax trees of `SOURCES`."""
    content = hashlib.sha256()
    for source in SOURCES:
        path = ROOT / source
        if not path.exists():
            raise FileNotFoundError(f"{path} is named in bench/cache.py but is not there")
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            content.update(str(file.relative_to(ROOT)).encode())
            content.update(ast.dump(ast.parse(file.read_text(encoding="utf-8"))).encode())
    return content.hexdigest()[:16]


class Cache:
    """A folder of artefacts, one sub-folder per kind. `warn` gets one line for each file that had to be made again."""

    def __init__(self, folder: str | os.PathLike[str], warn: Callable[[str], None]) -> None:
        self.folder, self._warn = Path(folder), warn

    def fetch(self, kind: str, key: Mapping[str, Any], build: Callable[[], Artefact]) -> Artefact:
        """The artefact of `key`, read back when it is stored, else built and stored."""
        path = self.path(kind, key)
        seen = _state(path)
        stored = self._read(path)
        if stored is not None:
            return stored
        with alone(self.folder / "locks" / f"{kind}-{path.stem}.lock"):
            if _state(path) != seen:  # another process has made it meanwhile
                stored = self._read(path)
            made = stored or build()
            if stored is None:
                _write(path, made, key)
        return made

    def put(self, kind: str, key: Mapping[str, Any], artefact: Artefact) -> None:
        """Store an artefact that has grown, in place of what is there."""
        _write(self.path(kind, key), artefact, key)

    def holds(self, kind: str, key: Mapping[str, Any]) -> bool:
        """Whether a file for `key` is there; it is not opened."""
        return self.path(kind, key).exists()

    def path(self, kind: str, key: Mapping[str, Any]) -> Path:
        """Where the artefact of `key` lies or would lie."""
        return self.folder / kind / f"{digest({'code': code_fingerprint(), 'kind': kind, **key})}.safetensors"

    def _read(self, path: Path) -> Artefact | None:
        """The stored artefact; None when there is none, or when it is damaged (which is reported)."""
        try:
            return _parse(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            self._warn(f"cached {path.parent.name} {path.name} is unusable ({error}); made again")
            return None


def _state(path: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _parse(data: bytes) -> Artefact:
    header_bytes = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header_bytes > len(data) - 8:
        raise ValueError("torn file")
    metadata = json.loads(data[8 : 8 + header_bytes])["__metadata__"]
    tensors = load(data)
    if _content_digest(tensors, metadata["document"]) != metadata["digest"]:
        raise ValueError("contents do not match their digest")
    return Artefact(tensors, json.loads(metadata["document"]))


def _write(path: Path, artefact: Artefact, key: Mapping[str, Any]) -> None:
    """Store `artefact`; its digest, and its key for people who look into the file, go into the header."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in artefact.tensors.items()}
    document = json.dumps(artefact.document)
    metadata = {
        "document": document,
        "digest": _content_digest(tensors, document),
        "key": json.dumps(key, sort_keys=True),
    }
    try:
        write_atomically(path, lambda stream: stream.write(save(tensors, metadata)))
        sweep_partials(path.parent)
    except OSError as error:
        raise ValueError(
            f"cannot write to the cache {path.parent}: {error.strerror}; set paths.cache=FOLDER"
        ) from error


def _content_digest(tensors: Mapping[str, Tensor], document: str) -> str:
    """sha256 over names, shapes, types and bytes of all tensors, and over the document."""
    content = hashlib.sha256(document.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return content.hexdigest()
