"""Which job of a queue does which run: small files beside the jobs' logs, by which a later command finds its jobs.

A ticket is written when a job is submitted and told how it ended when somebody has collected it. It says nothing about
results: those are in the results folder, or not there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.records.write import write_bytes
from bench.sweep import RunRequest


@dataclass(frozen=True)
class Ticket:
    """job_id: of the queue. run_id: what the run was stored as, once that has been collected; "" for a lost job."""

    job_id: str
    run_id: str | None = None


class Tickets:
    """The tickets in `folder`; `where` names the kind of machine that is asked for, in any words."""

    def __init__(self, folder: Path, where: str) -> None:
        self._folder, self._where = folder, where

    def of(self, request: RunRequest) -> Ticket | None:
        """The ticket of a request; None where it was never submitted, or its ticket cannot be read."""
        try:
            return Ticket(**json.loads(self._path(request).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, request: RunRequest, ticket: Ticket) -> None:
        write_bytes(self._path(request), json.dumps(asdict(ticket)).encode())

    def _path(self, request: RunRequest) -> Path:
        asked = [request.spec.digest(), request.device, request.threads, request.results, self._where]
        return self._folder / f"{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]}.json"
