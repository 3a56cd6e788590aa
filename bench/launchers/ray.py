"""Runs on the nodes of a Ray cluster. A run whose node or worker is lost is done again on another.

Results lie in a folder that all nodes share, or in an object store. A node needs this project under the same path, or
installed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.isolate import Message, one_line
from bench.launchers.base import LAUNCHERS, Launcher, anywhere, arrived, lost, needed
from bench.paths import ROOT
from bench.sweep import Done, RunRequest, Target, Watch, execute, perform


@LAUNCHERS.register("ray")
@dataclass(frozen=True)
class Ray(Launcher):
    address: str | None = None  # auto, HOST:PORT or ray://HOST:PORT; null starts Ray on this machine alone
    gpus_per_run: float = 1
    cpus_per_run: int = 1  # also the threads of a run, where device.threads is null
    retries: int = 3  # of a run whose node or worker was lost; a run that fails is a row and is not repeated

    def launch(self, requests: Sequence[RunRequest], watch: Watch, target: Target = execute) -> Iterator[Done]:
        ray = needed("ray", "ray")
        self._connect(ray)
        try:
            self._say_what_is_missing(ray)
            remote = ray.remote(num_cpus=self.cpus_per_run, num_gpus=self.gpus_per_run, max_retries=self.retries)(_run)
            waiting = {
                remote.remote(anywhere(request, self.cpus_per_run), target, os.getcwd()): request
                for request in requests
            }  # fmt: skip
            while waiting:
                ready, _ = ray.wait(list(waiting), num_returns=1)
                yield _end(ray, ready[0], waiting.pop(ready[0]))
        finally:
            ray.shutdown()

    def _connect(self, ray: Any) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing here calls home
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            ray.init(
                address=self.address or "local", log_to_driver=False, logging_level="warning",
                runtime_env={"env_vars": {"PYTHONPATH": path}},
            )  # fmt: skip
        except (ConnectionError, ImportError, RuntimeError, ValueError) as error:
            raise ValueError(f"no Ray cluster at launcher.address={self.address}: {one_line(error)}") from error

    def _say_what_is_missing(self, ray: Any) -> None:
        """A run that no node can hold waits for ever, or for a cluster that grows: say so."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        asked = {"CPU": self.cpus_per_run, "GPU": self.gpus_per_run}
        if any(all(node.get(kind, 0) >= count for kind, count in asked.items()) for node in nodes):
            return
        text = f"no Ray node has {self.cpus_per_run} CPUs and {self.gpus_per_run:g} GPUs for a run"
        if self.address is None:
            raise ValueError(f"{text}; set launcher.cpus_per_run and launcher.gpus_per_run")
        print(f"{text}; waiting until one joins", file=sys.stderr)


def _run(request: RunRequest, target: Target, folder: str) -> Done:
    """On a node: one run, in the folder the command was given in where that is there too."""
    with contextlib.suppress(OSError):
        os.chdir(folder)
    return perform(request, _say, target)


def _say(request: RunRequest, message: Message) -> None:
    print(f"{request.label}: {message['step']}", flush=True)  # into the worker's log


def _end(ray: Any, reference: Any, request: RunRequest) -> Done:
    try:
        done: Done = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return lost(request, one_line(error.cause))
    except ray.exceptions.RayError as error:
        return lost(request, f"its worker or node was lost: {one_line(error)}")
    return replace(arrived(done), request=request)
