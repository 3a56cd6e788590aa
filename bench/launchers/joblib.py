"""Several runs at once on this machine.

Each run has a process of its own already, forked from the one warm server, so joblib's workers are threads that wait
for them: torch is imported once, a run's messages are heard, and killing this process ends every run. Runs side by
side share the memory bus and the caches: their rows say so, and their times are not to be quoted.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.device import usable_cores
from bench.launchers.base import LAUNCHERS, Launcher, needed
from bench.sweep import Done, RunRequest, Target, Watch, execute, perform


@LAUNCHERS.register("joblib")
@dataclass(frozen=True)
class Joblib(Launcher):
    n_jobs: int = 2  # runs at once
    gpus: int = 0  # of this machine, each for one run at a time; 0: every run takes the first, or none

    def launch(self, requests: Sequence[RunRequest], watch: Watch, target: Target = execute) -> Iterator[Done]:
        joblib = needed("joblib", "joblib")
        threads = self._threads(requests)
        gpus: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for index in range(self.n_jobs):
            gpus.put(index if self.gpus else None)

        def do(request: RunRequest) -> Done:
            gpu = gpus.get()
            try:
                placed = replace(request, threads=request.threads or threads, gpu=gpu, beside=self.n_jobs - 1)
                return replace(perform(placed, watch, target), request=request)
            finally:
                gpus.put(gpu)

        pool = joblib.Parallel(self.n_jobs, backend="threading", return_as="generator_unordered", pre_dispatch="n_jobs")
        return pool(joblib.delayed(do)(request) for request in requests)

    def _threads(self, requests: Sequence[RunRequest]) -> int:
        """CPU threads of a run that has not asked for any: its share of the cores."""
        cores = usable_cores()
        if self.n_jobs < 1 or (self.gpus and self.n_jobs > self.gpus):
            raise ValueError(f"launcher.n_jobs={self.n_jobs} runs at once cannot have one of {self.gpus} GPUs each")
        threads = max((request.threads or 1 for request in requests), default=1)
        if self.n_jobs * threads > cores:
            raise ValueError(f"launcher.n_jobs={self.n_jobs} runs of {threads} threads do not fit into {cores} cores")
        return max(1, cores // self.n_jobs)
