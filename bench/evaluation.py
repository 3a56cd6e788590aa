"""The clips a run is judged on: source frames, the teacher's latents and the teacher's frames, made once and kept.

They depend on the teacher, the clips and the protocol alone, so every run of a study, and of the next one, reads the
same artefact from the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.cache import Artefact, Cache
from bench.data import ClipError, ClipProtocol, open_clips
from bench.placement import on_device
from bench.spec import RunSpec
from flash_vaed import Teacher


@dataclass(frozen=True)
class EvaluationSet:
    """Read clips in order (`names`), unreadable ones with the reason (`unreadable`). Tensors are float32 on the CPU."""

    artefact: Artefact

    @property
    def names(self) -> list[str]:
        return list(self.artefact.document["names"])

    @property
    def unreadable(self) -> dict[str, str]:
        return dict(self.artefact.document["unreadable"])

    def source(self, name: str) -> Tensor:
        """The clip `x_CTHW` in [-1, 1]."""
        return self._tensor("source", name)

    def latents(self, name: str) -> Tensor:
        """The teacher's raw latents `z_Cthw` of the clip."""
        return self._tensor("latents", name)

    def teacher(self, name: str) -> Tensor:
        """The teacher's frames `x_CTHW` in [-1, 1], decoded in float32, the whole clip at once."""
        return self._tensor("teacher", name)

    def _tensor(self, kind: str, name: str) -> Tensor:
        return self.artefact.tensors[f"{kind}.{self.names.index(name)}"]


def evaluation_set(
    spec: RunSpec, teacher: Teacher, device: torch.device, cache: Cache, say: Callable[[str], None]
) -> EvaluationSet:
    """The judged clips of `spec`. `ValueError` when not one of them can be read."""
    data = spec.data
    key = {
        "teacher": spec.teacher.fingerprint,
        "clips": data.evaluate_fingerprint,
        "protocol": [data.frames, data.size, data.stride, data.start],
        "device": device.type,
    }
    found = EvaluationSet(cache.fetch("evaluation", key, lambda: _make(spec, teacher, device, say)))
    if not found.names:
        name, reason = next(iter(found.unreadable.items()))
        raise ValueError(f"none of the {len(found.unreadable)} clips can be read; the first, {name}, {reason}")
    return found


def _make(spec: RunSpec, teacher: Teacher, device: torch.device, say: Callable[[str], None]) -> Artefact:
    """Decode, encode, decode again: one clip after the other."""
    data = spec.data
    clips = open_clips(data.source, data.root, data.evaluate, data.max_clips)
    protocol = ClipProtocol(data.frames, data.size, data.stride, data.start)
    placed = on_device(teacher, device)
    tensors: dict[str, Tensor] = {}
    names: list[str] = []
    unreadable: dict[str, str] = {}
    for name in clips.names:
        say(f"clip {len(names) + 1} of {len(clips)}")
        try:
            source = clips.read(name, protocol)
        except ClipError as error:
            unreadable[name] = error.reason
            continue
        z_NCthw = placed.encode(source[None].to(device))
        frames, z_NCthw = placed.decoder.decode(z_NCthw).cpu(), z_NCthw.cpu()
        made = {"source": source, "latents": z_NCthw[0], "teacher": frames[0]}
        tensors |= {f"{kind}.{len(names)}": tensor for kind, tensor in made.items()}
        names.append(name)
    return Artefact(tensors, {"names": names, "unreadable": unreadable})
