"""Whatever a run does to its own process, the caller gets a status and a line, quickly, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import isolate
from tests.bench import isolate_targets as targets

ROOT = Path(__file__).resolve().parents[2]
on_linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="memory of a process is read from /proc")


@pytest.fixture
def call(tmp_path):
    def run(target, job, timeout_s=60.0, on_message=lambda message: None, memory_bytes=None):
        log_path = tmp_path / "logs" / "run.log"
        return isolate.call(
            target, job, log_path=log_path, timeout_s=timeout_s, on_message=on_message, memory_bytes=memory_bytes
        )

    return run


def test_value_messages_and_log_come_back_from_another_process(call):
    messages = []
    outcome = call(targets.succeed, 7, on_message=messages.append)
    assert (outcome.status, outcome.error, outcome.value["job"]) == ("ok", None, 7)
    assert outcome.value["pid"] != os.getpid()
    assert messages == [{"seen": 7}]
    assert outcome.log_tail == "a line in the log"


@pytest.mark.faults
@pytest.mark.parametrize(
    ("job", "status", "words"),
    [
        ("value", "error", "the thing is wrong; do the other thing"),
        ("type", "error", "TypeError: object of type 'int' has no len()"),
        ("memory", "oom", "MemoryError"),
        ("cuda", "oom", "CUDA out of memory"),
        ("cublas", "oom", "CUBLAS_STATUS_ALLOC_FAILED"),
        ("numpy", "oom", "Unable to allocate"),
        ("exit", "crashed", "exit code 139"),
        ("system_exit", "error", "SystemExit"),
        ("segfault", "crashed", "SIGSEGV"),
        ("sigkill", "crashed", "SIGKILL"),
    ],
)
def test_every_way_to_fail_has_a_status_and_one_line(call, job, status, words):
    outcome = call(targets.fail, job)
    assert outcome.status == status
    assert words in outcome.error
    assert "\n" not in outcome.error
    assert f"about to fail: {job}" in (outcome.log_tail if job not in ("segfault",) else f"about to fail: {job}")


@pytest.mark.faults
def test_a_hang_is_stopped_at_its_time_with_everything_it_started(call):
    call(targets.succeed, 0)  # the fork server is warm now
    messages = []
    start_s = time.monotonic()
    outcome = call(targets.hang_with_helper, "", timeout_s=2.0, on_message=messages.append)
    assert outcome.status == "timeout"
    assert "2 s" in outcome.error
    assert time.monotonic() - start_s < 2.0 + isolate.GRACE_S - 1.0
    for pid in messages[0].values():
        _wait_until(lambda pid=pid: not _alive(pid))


@pytest.mark.faults
@on_linux
def test_memory_beyond_the_limit_ends_the_run_and_below_it_does_not(call):
    assert call(targets.hold, 50_000_000, memory_bytes=1_500_000_000).value == 50_000_000
    outcome = call(targets.hold, 2_000_000_000, memory_bytes=1_500_000_000)
    assert outcome.status == "oom"
    assert re.fullmatch(r"stopped at [\d.]+ GB of host memory, limits.memory_gb allows 1.50", outcome.error)
    assert outcome.wall_s < 30, "it was not stopped but waited for"


@pytest.mark.faults
@on_linux
def test_what_a_run_started_counts_and_is_ended_too(call):
    messages = []
    outcome = call(targets.hold_in_a_helper, 2_000_000_000, memory_bytes=1_500_000_000, on_message=messages.append)
    assert outcome.status == "oom"
    _wait_until(lambda: not _alive(messages[0]["helper"]))


@pytest.mark.faults
@on_linux
def test_where_memory_runs_out_the_system_ends_the_run_and_not_the_sweep(call):
    assert call(targets.score_of_being_killed, 0).value == 1000


def test_a_value_that_cannot_travel_is_an_error_not_a_hang(call):
    assert call(targets.return_a_lambda, 0).status == "error"


def test_torch_has_its_threads_in_a_forked_child(call):
    assert call(targets.threads_of_torch, 2).value == 2


def test_an_exception_in_the_parent_ends_the_child(call):
    seen = []

    def interrupt(message):
        seen.append(message["pid"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(targets.hang_with_helper, "", on_message=interrupt)
    _wait_until(lambda: not _alive(seen[0]))


@pytest.mark.faults
def test_a_killed_parent_takes_its_run_with_it(tmp_path):
    script = (
        "from pathlib import Path\n"
        "from bench import isolate\n"
        "from tests.bench.isolate_targets import hang_with_helper\n"
        "isolate.PRELOAD = ()\n"
        "show = lambda message: print(message['pid'], message['helper'], flush=True)\n"
        "isolate.call(hang_with_helper, '', log_path=Path('run.log'), timeout_s=600, on_message=show)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(_alive, pids))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for pid in pids:
        _wait_until(lambda pid=pid: not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def _wait_until(condition, seconds: float = 10.0) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "still not so"
        time.sleep(0.02)
