"""A run has one owner at a time, and a dead owner is none."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.locks import alone

ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "import sys, time; from pathlib import Path; from bench.locks import alone\n"
    "with alone(Path(sys.argv[1]), lambda: None): print('held', flush=True); time.sleep(600)"
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="this system has no file locks")


@pytest.mark.faults
def test_the_second_waits_for_the_first_and_says_so_once(tmp_path):
    heard: list[str] = []
    told = threading.Event()

    def second() -> None:
        with alone(tmp_path / "run.lock", lambda: (heard.append("waits"), told.set())):
            heard.append("second")

    with alone(tmp_path / "run.lock", lambda: heard.append("never")):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(10)
        heard.append("first")
    thread.join(10)
    assert heard == ["waits", "first", "second"]


@pytest.mark.faults
def test_a_killed_owner_leaves_nothing_to_remove(tmp_path):
    lock = tmp_path / "logs" / "run.lock"
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, cwd=ROOT)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"held\n"
    owner.kill()
    owner.wait()
    with alone(lock, lambda: pytest.fail("the dead still hold it")):
        pass
