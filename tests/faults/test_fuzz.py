"""Damaged files of every kind, thousands of them: read right or refused by the project's own error, at once, in little
memory.

`FUZZ_INPUTS=5000 python -m pytest tests/faults/test_fuzz.py` tries so many per reader; 250 otherwise, always the same.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st

from tests.faults.damage import damaged
from tests.faults.examples import ROOT, environment
from tests.faults.fuzz_worker import READERS
from tests.faults.sound import KINDS, Sound

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc"),
]

INPUTS = int(os.environ.get("FUZZ_INPUTS", "250"))
LIMIT_S = 60.0
LIMIT_BYTES = dict.fromkeys(READERS, 400 << 20) | dict.fromkeys(("clip", "video"), 1500 << 20)


class Worker:
    """A process that reads files with one reader; a new one takes the place of one that crashed or hangs."""

    def __init__(self, reader: str, log: Path) -> None:
        self.reader, self._log = reader, log
        self._process: subprocess.Popen[str] | None = None

    def read(self, path: Path) -> tuple[str, str, int]:
        """What became of it (ok, refused, escaped, crashed, hung), in words, and the peak of memory in bytes."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{path}\n")
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(LIMIT_S):
                self.close()
                return "hung", f"no answer within {LIMIT_S:g} s", 0
        line = process.stdout.readline()
        if not line:
            code = process.wait(LIMIT_S)
            self.close()
            return "crashed", f"exit code {code}: {self._log.read_text(errors='replace')[-2000:]}", 0
        outcome, words, peak = json.loads(line)
        return outcome, words, peak

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", "tests.faults.fuzz_worker", self.reader],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1, cwd=ROOT,
                env=environment(),
            )  # fmt: skip

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def worker(request, tmp_path_factory) -> Iterator[Worker]:
    worker = Worker(request.node.callspec.params["reader"], tmp_path_factory.mktemp("worker") / "log")
    yield worker
    worker.close()


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_read_or_refused(reader, worker, tmp_path, tmp_path_factory, record_property):
    sound: list[Sound] = KINDS[reader](tmp_path)
    seen: Counter[str] = Counter()
    failing = tmp_path_factory.mktemp("failing")
    for one in sound:
        assert worker.read(one.target)[0] == "ok", f"{one.file.name} is not read even when it is sound"

    @settings(
        max_examples=INPUTS, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink), verbosity=Verbosity.quiet,
    )  # fmt: skip
    @given(st.data())
    def each(data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(sound))
        content = data.draw(damaged([one.content, one.content, *(other.content for other in sound)]))
        one.file.write_bytes(content)
        try:
            outcome, words, peak = worker.read(one.target)
        finally:
            one.file.write_bytes(one.content)
        seen[outcome] += 1
        if outcome not in ("ok", "refused") or "\n" in words or peak >= LIMIT_BYTES[reader]:
            (failing / one.file.name).write_bytes(content)
            pytest.fail(f"{failing / one.file.name} {outcome}, {peak} bytes at the peak: {words}", pytrace=False)

    each()
    assert sum(seen.values()) >= INPUTS
    assert min(seen["ok"], seen["refused"]) > 0 or reader in ("results", "training"), seen
    record_property("fuzzed", f"{reader}: {sum(seen.values())} inputs, {seen['refused']} refused, {seen['ok']} read")
