"""One line per run, stored ones counted, failures with their reason; a bar only on a terminal."""

from __future__ import annotations

import io
import threading
import time

import pytest

from bench import progress
from bench.progress import Display
from bench.sweep import STORED, Done
from tests.bench.examples import request


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def asked(tmp_path):
    return request(tmp_path)


def done(asked, status: str, error: str | None = None) -> Done:
    return Done(asked, "id", status, error, 38.2, "log")


def test_a_sweep_prints_one_line_per_run_and_counts_the_stored(asked):
    stream = io.StringIO()
    display = Display(3, 10, stream)
    display.watch(asked, {"step": "training: joint", "done": 1, "total": 9})
    display.finish(done(asked, "ok"))
    display.finish(done(asked, STORED))
    display.finish(done(asked, "oom", "out of memory"))
    display.close()
    assert stream.getvalue().splitlines() == [
        "[ 1/3] seed 0      ok      38 s",
        "[ 3/3] seed 0      oom     38 s  out of memory",
        "1 of 3 runs were stored already and are not repeated",
    ]


def test_a_single_run_prints_its_steps_once_each(asked):
    stream = io.StringIO()
    display = Display(1, 6, stream)
    for step in ("teacher", "training: joint", "training: joint", "quality"):
        display.watch(asked, {"step": step, "done": 1, "total": 2})
    display.finish(done(asked, STORED))
    display.close()
    assert stream.getvalue().splitlines() == [
        "  teacher",
        "  training: joint",
        "  quality",
        "[ 1/1] seed 0  stored already",
    ]


def test_a_terminal_shows_a_bar_that_is_gone_in_the_end(asked):
    stream = Terminal()
    display = Display(2, 6, stream)
    display.watch(asked, {"step": "training: joint", "done": 3, "total": 9})
    assert "[ 1/2] seed 0: training: joint" in stream.getvalue()
    assert "3/9" in stream.getvalue()
    display.watch(asked, {"step": "speed"})
    display.finish(done(asked, "ok"))
    display.close()
    assert stream.getvalue().splitlines()[-1].split("\r")[-1] == "[ 1/2] seed 0  ok      38 s"


def test_threads_may_report_at_once(asked, monkeypatch):
    """The bar is taken away and drawn anew by whoever speaks; nobody may find it gone in between."""

    class Slow(progress.tqdm):
        def set_description_str(self, *args, **kwargs):
            time.sleep(0.001)
            super().set_description_str(*args, **kwargs)

    monkeypatch.setattr(progress, "tqdm", Slow)
    display, broken = Display(80, 6, Terminal()), []

    def report(total):
        try:
            for index in range(10):
                display.watch(asked, {"step": "training", "done": index, "total": total})
                display.finish(done(asked, "ok"))
        except AttributeError as error:
            broken.append(error)

    threads = [threading.Thread(target=report, args=(total,)) for total in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    display.close()
    assert broken == []
    assert len(display.done) == 80
