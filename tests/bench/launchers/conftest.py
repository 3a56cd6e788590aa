"""A run here needs no torch; a server started by an earlier test does no harm."""

from __future__ import annotations

import pytest

from bench import isolate


@pytest.fixture(autouse=True)
def _light_fork_server(monkeypatch):
    monkeypatch.setattr(isolate, "PRELOAD", ("tests.bench.launchers.targets",))
