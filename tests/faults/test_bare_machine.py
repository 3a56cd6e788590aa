"""A machine without a network, without a home, with a clock that jumps: the work is done, what is absent is said.

The conditions are put into every process of the run, those it starts included, by a `sitecustomize` module.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bench import isolate, records, sweep
from tests.bench import sweep_targets as targets
from tests.bench.examples import request
from tests.bench.tiny_place import make_place, seconds_long
from tests.faults.examples import ROOT, bench, environment

pytestmark = pytest.mark.faults

NO_NETWORK = """
import socket
def _refuse(*arguments, **options):
    open({canary!r}, "a").write(repr(arguments) + "\\n")
    raise OSError("there is no network")
_connect = socket.socket.connect
socket.socket.connect = lambda self, *a: _connect(self, *a) if self.family == socket.AF_UNIX else _refuse(*a)
socket.getaddrinfo = socket.create_connection = _refuse
"""
NO_HOME = """
import os, pwd
os.environ.pop("HOME", None)
def _nobody(*arguments):
    raise KeyError("nobody")
pwd.getpwuid = pwd.getpwnam = _nobody
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"))


def under(condition: str, folder: Path) -> dict[str, str]:
    """The environment of a process in which `condition` holds, with caches of its own, empty."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(condition.format(canary=str(folder / "canary")))
    empty = {name: str(folder / "empty") for name in ("HF_HOME", "TORCH_HOME", "XDG_CACHE_HOME")}
    return environment(**empty, PYTHONPATH=f"{folder / 'site'}:{ROOT}")


def test_without_a_network_a_run_says_what_it_lacks_and_asks_nobody(place, tmp_path):
    command = ["run", *seconds_long(place), "prune.ratio=0.5", f"paths.results={tmp_path}/results"]
    process = bench(command, place, under(NO_NETWORK, tmp_path))
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    assert not (tmp_path / "canary").exists(), (tmp_path / "canary").read_text()
    runs, rows, _ = records.read(tmp_path / "results")
    lpips = rows[rows["metric"] == "lpips"]
    assert len(lpips) == 2
    assert lpips["value"].isna().all()
    assert lpips["note"].str.contains("LPIPS needs").all()
    assert "trained without the LPIPS term" in runs["warnings_json"][0]
    assert rows[rows["metric"] == "psnr"]["value"].notna().any()


def test_without_a_network_a_model_that_is_not_here_is_one_line(place, tmp_path):
    command = ["run", "teacher=wan21", f"paths.results={tmp_path}/results"]
    process = bench(command, place, under(NO_NETWORK, tmp_path))
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 2
    assert complaint.count("\n") == 1, complaint
    assert not (tmp_path / "canary").exists(), (tmp_path / "canary").read_text()


@pytest.mark.parametrize("verb", ["run", "doctor"])
def test_a_user_without_a_home_can_work(place, tmp_path, verb):
    command = {
        "run": ["run", *seconds_long(place), "plan=teacher", "distill=none", f"paths.results={tmp_path}/results"],
        "doctor": ["doctor"],
    }[verb]
    homeless = under(NO_HOME, tmp_path)
    for name in ("HF_HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        del homeless[name]
    process = bench([word for word in command if not word.startswith("distill.steps")], place, homeless)
    said, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, said + complaint
    assert "Traceback" not in complaint


def test_a_clock_that_jumps_back_harms_no_run(tmp_path, monkeypatch):
    times = iter(datetime(2026, 1, 1, tzinfo=timezone.utc) - timedelta(days=days) for days in range(100))

    class Jumping(datetime):
        @classmethod
        def now(cls, tz=None):
            return next(times)

    monkeypatch.setattr(sweep, "datetime", Jumping)
    monkeypatch.setattr(isolate, "PRELOAD", ("tests.bench.sweep_targets",))
    for again in (False, True):
        asked = [request(tmp_path, seed, again=again) for seed in range(2)]
        done = list(sweep.sequential(asked, lambda request, message: None, targets.measure))
        assert [d.status for d in done] == ["ok", "ok"]
        assert all(0 <= d.wall_s < 60 for d in done)
    runs, rows, problems = records.read(tmp_path / "results")
    assert (len(runs), len(rows), problems) == (2, 2, [])
    assert (runs["finished_at"] < runs["started_at"]).all(), "the clock of this test does not jump"
