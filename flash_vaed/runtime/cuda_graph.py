"""Steps recorded as CUDA graphs: launched as a whole, over buffers that stay where they are.

A recorded step reads its memory from one place and writes to one place. So there are two banks of memory and two
recordings, from A to B and from B to A, and the state goes back and forth. A state is overwritten by the step after the
next one; using it then is an error, not a wrong picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Step = Callable[[Tensor, Mapping[str, Tensor]], tuple[Tensor, dict[str, Tensor]]]
Recorded = tuple[Callable[[], object], Tensor]  # what runs it again, and the frames it writes
Record = Callable[[Callable[[], Tensor]], Recorded]

WARMUP = 3  # calls before recording, in which libraries choose their kernels


class Bank(dict[str, Tensor]):
    """One place for the memory between steps. `owner` and `version` tell whether it still holds what a state means."""

    def __init__(self, tensors: Mapping[str, Tensor], owner: Any = None, version: int = 0) -> None:
        super().__init__(tensors)
        self.owner, self.version = owner, version


class GraphedSteps:
    """`(z_NCthw, memory) -> (frames_NCTHW, memory)` for one shape. record: makes a call repeatable, as CUDA does."""

    def __init__(self, step: Step, z_NCthw: Tensor, memory: Mapping[str, Tensor], record: Record | None = None) -> None:
        record = record or cuda_record
        self._z = z_NCthw.clone()
        _, after = step(self._z, memory)
        self._steady = memory.keys() == after.keys() and all(memory[k].shape == after[k].shape for k in after)
        sources = [_clones(memory), _clones(after)] if self._steady else [_clones(memory)]
        targets = [sources[1], sources[0]] if self._steady else [_clones(after)]
        self._banks, self._targets = sources, targets
        self._versions = [0, 0]
        self._recorded = [
            record(lambda source=source, target=target: _into(target, step(self._z, source)))  # type: ignore[misc]
            for source, target in zip(sources, targets, strict=True)
        ]

    def __call__(self, z_NCthw: Tensor, memory: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        self._z.copy_(z_NCthw)
        source = self._place(memory)
        replay, frames_NCTHW = self._recorded[source]
        replay()
        target = 1 - source if self._steady else 0
        self._versions[target] += 1
        kept = Bank(self._targets[source], (self, target), self._versions[target])
        return frames_NCTHW.clone(), kept

    def _place(self, memory: Mapping[str, Tensor]) -> int:
        """The bank that `memory` lies in; what comes from elsewhere is copied into the first one."""
        if isinstance(memory, Bank):
            steps, bank = memory.owner
            if memory.version != steps._versions[bank]:
                raise ValueError(
                    "this state was overwritten: with CUDA graphs a state lasts until the step after the next one"
                )
            if steps is self:
                assert isinstance(bank, int)
                return bank
        for slot, held in memory.items():
            self._banks[0][slot].copy_(held)
        if memory:
            self._versions[0] += 1
        return 0


def cuda_record(call: Callable[[], Tensor]) -> Recorded:
    """`call` as a CUDA graph; its tensors must stay where they are."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARMUP):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        frames_NCTHW = call()
    return graph.replay, frames_NCTHW


def _clones(memory: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {slot: held.clone() for slot, held in memory.items()}


def _into(target: Mapping[str, Tensor], result: tuple[Tensor, Mapping[str, Tensor]]) -> Tensor:
    """Copy a step's memory to where the next one reads it; its frames."""
    frames_NCTHW, after = result
    for slot, held in after.items():
        target[slot].copy_(held)
    return frames_NCTHW
