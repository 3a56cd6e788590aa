"""What a launcher is: something that gets every request done, here or elsewhere, and tells how each one ended.

Whoever does a run stores its rows, so a launcher carries requests one way and a few words back. A run that was lost on
the way is told as a failure; nothing is repeated in silence and nothing is believed that cannot be read from here.
"""

from __future__ import annotations

import importlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import records
from bench.sweep import Done, RunRequest, Target, Watch, execute
from flash_vaed.registry import Registry

ARRIVAL_S = 30.0  # a network file system may show a new file this much later


class Launcher(ABC):
    """A frozen dataclass whose fields are the keys of its config group, with their defaults."""

    @abstractmethod
    def launch(self, requests: Sequence[RunRequest], watch: Watch, target: Target = execute) -> Iterator[Done]:
        """Do every request once and give its end, in any order; `watch` hears of runs under way.

        target: what a run's process does (the run itself). `ValueError` for what makes all runs impossible.
        """


LAUNCHERS: Registry[type[Launcher]] = Registry("launcher", "bench.launchers")


def needed(package: str, extra: str) -> Any:
    """The imported package; a `ValueError` with the command that gets it where it is absent."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ValueError(f"launcher={extra} needs {package}: pip install 'flash-vaed[{extra}]'") from error


def anywhere(request: RunRequest, threads: int) -> RunRequest:
    """The request as another machine of the same file system understands it: whole paths, and its own threads."""

    def whole(folder: str) -> str:
        return str(Path(folder).absolute())

    places = request.places
    return replace(
        request,
        results=records.absolute(request.results),
        logs=whole(request.logs),
        places=replace(
            places,
            cache=whole(places.cache),
            curves=places.curves and whole(places.curves),
            decoders=whole(places.decoders),
            videos=whole(places.videos),
            pictures=places.pictures and whole(places.pictures),
        ),
        threads=request.threads or threads,
    )


def arrived(done: Done) -> Done:
    """`done` itself once its rows can be read on this side, else its failure: it wrote into a folder of its own."""
    deadline_s = time.monotonic() + ARRIVAL_S
    while not records.is_written(done.request.results, done.run_id):
        if time.monotonic() >= deadline_s:
            missing = f"its rows are not in {done.request.results}: that is no folder which both machines share"
            return replace(done, status="crashed", error=missing)
        time.sleep(0.5)
    return done


def lost(request: RunRequest, why: str) -> Done:
    """How a request ended of which no word came back."""
    return Done(request, "", "crashed", " ".join(why.split())[:300], 0.0, "")
