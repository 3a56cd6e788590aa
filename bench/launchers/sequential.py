"""One run after the other on this machine: the launcher for numbers that are to be quoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.launchers.base import LAUNCHERS, Launcher
from bench.sweep import Done, RunRequest, Target, Watch, execute, sequential


@LAUNCHERS.register("sequential")
@dataclass(frozen=True)
class Sequential(Launcher):
    def launch(self, requests: Sequence[RunRequest], watch: Watch, target: Target = execute) -> Iterator[Done]:
        return sequential(requests, watch, target)
