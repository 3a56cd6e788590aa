"""Kill a sweep, or one of its runs, whenever you like: the same command goes on, repeats nothing that is stored, loses
nothing that was finished, and ends with the results of a sweep that nobody disturbed.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from bench import records
from bench.sweep import STORED
from tests.bench.tiny_place import make_place, seconds_long
from tests.faults.examples import bench, finished, quality, trivial_sweep

pytestmark = pytest.mark.faults

REPEATS, COUNT = 20, 8
REAL_KILLS = 6


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The measurements of the trivial sweep when nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert trivial_sweep(folder, COUNT).communicate(timeout=60)[0].split() == ["ok"] * COUNT
    return records.read(folder / "results")[1]


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_killed_sweep_resumes_and_repeats_nothing(tmp_path, undisturbed, repeat):
    generator = random.Random(repeat)
    results, kept = tmp_path / "results", {}
    for _ in range(2):
        sweep = trivial_sweep(tmp_path, COUNT)
        for _ in range(generator.randrange(0, 3)):
            sweep.stdout.readline()
        time.sleep(generator.uniform(0.0, 0.12))
        _kill(sweep.pid, generator.choice(["sweep", "run"]))
        time.sleep(generator.uniform(0.0, 0.1))
        sweep.kill()
        sweep.wait()
        now = finished(results)
        assert kept.items() <= now.items(), "a finished run was touched"
        kept = now
    said, complaint = trivial_sweep(tmp_path, COUNT).communicate(timeout=60)
    assert sorted(said.split()) == sorted([STORED] * len(kept) + ["ok"] * (COUNT - len(kept))), complaint
    assert kept.items() <= finished(results).items()
    runs, measurements, problems = records.read(results)
    assert not problems
    assert len(runs) == COUNT
    assert runs["run_id"].is_unique
    assert measurements.equals(undisturbed)


def test_a_real_sweep_killed_again_and_again_gives_the_results_of_one_that_was_not(tmp_path):
    """Compression, training and judging, killed by SIGKILL at random moments of their work."""
    place = make_place(tmp_path)
    command = ["multirun", "plan=teacher,paper", "distill=none,full", "prune.ratio=0.5", *seconds_long(place)]
    command += ["limits.snapshot_minutes=0"]
    whole = bench([*command, "paths.results=whole", "paths.cache=one"], place)
    begin = time.monotonic()
    _, complaint = whole.communicate(timeout=300)
    took_s = time.monotonic() - begin
    assert whole.returncode == 0, complaint

    generator, kept, kills = random.Random(0), {}, 0
    command += ["paths.results=killed", "paths.cache=two"]
    while kills < REAL_KILLS:
        sweep = bench(command, place)
        time.sleep(generator.uniform(0.3, 1.0) * took_s)
        _kill(sweep.pid, generator.choice(["sweep", "run"]))
        time.sleep(generator.uniform(0.0, 0.5))
        sweep.kill()
        sweep.communicate()
        kills += 1
        now = finished(place / "killed") if (place / "killed").is_dir() else {}
        assert kept.items() <= now.items(), "a finished run was touched"
        kept = now
    last = bench(command, place)
    _, complaint = last.communicate(timeout=300)
    assert last.returncode == 0, complaint
    assert kept.items() <= finished(place / "killed").items()
    expected, found = quality(place / "whole"), quality(place / "killed")
    assert len(expected) > 200
    assert found.equals(expected)


def _kill(sweep: int, whom: str) -> None:
    """SIGKILL for the sweep, or for the run it has under way, if there is one."""
    os.kill(_run_of(sweep) or sweep if whom == "run" else sweep, signal.SIGKILL)


def _run_of(sweep: int) -> int | None:
    """The process of the run under way: a grandchild, forked by the server that the sweep has started, that leads a
    process group of its own.
    """
    for server in _children(sweep):
        for child in _children(server):
            try:
                if os.getpgid(child) == child:
                    return child
            except ProcessLookupError:
                continue
    return None


def _children(pid: int) -> list[int]:
    try:
        files = list(Path(f"/proc/{pid}/task").glob("*/children"))
        return [int(child) for file in files for child in file.read_text().split()]
    except OSError:
        return []
