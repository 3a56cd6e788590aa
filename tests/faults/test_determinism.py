"""The same seed on the same machine gives the same numbers, whatever ran before; another seed gives others."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from bench import isolate, records, sweep
from bench.__main__ import main
from bench.device import git_state, usable_cores
from bench.paths import ROOT
from bench.sweep import sequential
from tests.bench import sweep_targets as targets
from tests.bench.examples import request
from tests.bench.tiny_place import make_place, seconds_long
from tests.faults.examples import SORTED_BY, quality

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"))


def trained(place: Path, name: str, *overrides: str) -> pd.DataFrame:
    """Quality of an untrained and a trained student, made with a cache of their own."""
    asked = ["multirun", "distill=none,full", "prune.ratio=0.5", *seconds_long(place)]
    asked += [f"paths.results={place}/{name}", f"paths.cache={place}/{name}-cache", f"paths.logs={place}/{name}-logs"]
    assert main([*asked, *overrides, "paths.curves=null"]) == 0
    return quality(place / name)


@pytest.fixture(scope="module")
def code() -> tuple[str, bool | None]:
    """Commit and whether files are changed, when `first` is made."""
    sweep._git.cache_clear()
    return git_state(ROOT)


@pytest.fixture(scope="module")
def first(place, code) -> pd.DataFrame:
    return trained(place, "first")


def psnr(rows: pd.DataFrame) -> list[float]:
    """Of both students, in one order whatever the runs are called."""
    return sorted(rows[(rows["metric"] == "psnr") & (rows["arm"] == "student")]["value"].dropna())


def test_the_same_seed_gives_the_same_rows_bit_for_bit(place, first):
    assert len(first) > 200
    assert trained(place, "again").equals(first)


def test_the_order_of_the_runs_changes_nothing(place, first):
    reversed_order = trained(place, "reversed", "distill=full,none")
    assert reversed_order.equals(first)


def test_another_seed_gives_another_student(place, first):
    other = trained(place, "other", "seed=1")
    assert psnr(other) != psnr(first)


def test_threads_change_no_more_than_rounding(place, first):
    if usable_cores() < 2:
        pytest.skip("needs two cores")
    two = trained(place, "two", "device.threads=2")
    assert psnr(two) == pytest.approx(psnr(first), abs=0.05)  # dB, after training that rounds differently


def test_every_row_says_by_which_code_where_and_how_it_came_about(place, code, first):
    runs, (sha, dirty) = records.read(place / "first")[0], code
    assert set(runs["git_sha"]) == {sha}
    assert set(runs["git_dirty"].astype(object)) == {pd.NA if dirty is None else dirty}
    for _, run in runs.iterrows():
        spec, device, packages = (json.loads(run[f"{name}_json"]) for name in ("spec", "device", "packages"))
        assert spec["seed"] == 0
        assert spec["teacher"]["fingerprint"]
        assert spec["data"]["evaluate_fingerprint"]
        assert device["threads"] == 1
        assert packages["torch"] != "absent"
        assert run["protocol_id"]
        assert run["command"].startswith("python -m bench multirun")


def test_the_results_do_not_depend_on_the_order_of_a_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(isolate, "PRELOAD", ("tests.bench.sweep_targets",))
    tables = []
    for name, seeds in (("up", range(4)), ("down", reversed(range(4)))):
        asked = [request(tmp_path / name, seed) for seed in seeds]
        assert all(not done.failed for done in sequential(asked, lambda request, message: None, targets.measure))
        tables.append(records.read(tmp_path / name / "results")[1].sort_values(SORTED_BY, ignore_index=True))
    assert tables[0].equals(tables[1])
