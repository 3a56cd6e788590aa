"""Steps recorded as CUDA graphs: launched as a whole, over buffers that stay where they are.

A recorded step reads its memory from one place and writes to one place. So there are two banks of memory and two
recordings, from A to B and from B to A, and the state goes back and forth. B is what the first recording writes, so
only the way back copies. A state is overwritten by the step after the next one; using it then is an error, not a wrong
picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Result = tuple[Tensor, dict[str, Tensor]]  # frames, memory
Step = Callable[[Tensor, Mapping[str, Tensor]], Result]
Record = Callable[[Callable[[], Result]], tuple[Callable[[], object], Result]]
"""Makes a call repeatable: what runs it again, and the tensors that each run fills."""

WARMUP = 3  # calls before recording, in which libraries choose their kernels


class Bank(dict[str, Tensor]):
    """One place for the memory between steps. `owner` and `version` tell whether it still holds what a state means."""

    def __init__(self, tensors: Mapping[str, Tensor], owner: Any = None, version: int = 0) -> None:
        super().__init__(tensors)
        self.owner, self.version = owner, version


class GraphedSteps:
    """`(z_NCthw, memory) -> (frames_NCTHW, memory)` for one shape. record: as `CudaRecorder`."""

    def __init__(self, step: Step, z_NCthw: Tensor, memory: Mapping[str, Tensor], record: Record) -> None:
        self._z = z_NCthw.clone()
        here = {slot: held.clone() for slot, held in memory.items()}
        replay, (frames_NCTHW, there) = record(lambda: step(self._z, here))
        self._recorded = [(replay, frames_NCTHW)]
        self._banks = [here, there]
        alike = here.keys() == there.keys() and all(here[slot].shape == there[slot].shape for slot in there)
        self._steady = alike and bool(there)
        if self._steady:
            replay, (frames_NCTHW, _) = record(lambda: _copied(here, step(self._z, there)))
            self._recorded.append((replay, frames_NCTHW))
        self._versions = [0, 0]

    def __call__(self, z_NCthw: Tensor, memory: Mapping[str, Tensor]) -> Result:
        self._z.copy_(z_NCthw)
        source = self._place(memory)
        replay, frames_NCTHW = self._recorded[source]
        replay()
        target = 1 - source
        self._versions[target] += 1
        kept = Bank(self._banks[target], (self, target), self._versions[target])
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


class CudaRecorder:
    """Records calls as CUDA graphs; their tensors must stay where they are. One after the other they share a pool of
    memory, since no two of them run at once.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, call: Callable[[], Result]) -> tuple[Callable[[], object], Result]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUP):
                call()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = call()
        return graph.replay, result


def _copied(target: Mapping[str, Tensor], result: Result) -> Result:
    """A step's result, its memory copied to where the next one reads it."""
    for slot, held in result[1].items():
        target[slot].copy_(held)
    return result
