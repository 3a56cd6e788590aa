"""What every launcher keeps to: nothing is believed that cannot be read here, and what is absent says how to get it."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from pathlib import Path

import pytest

from bench import schema
from bench.config import ROOT, compose, options, to_config, to_launcher
from bench.launchers import LAUNCHERS, base
from bench.launchers.base import anywhere, arrived, lost, needed
from bench.sweep import Done, perform
from tests.bench.examples import request
from tests.bench.sweep_targets import measure


def launcher(*overrides: str):
    return to_launcher(to_config(compose(overrides), schema.Config).launcher)


def ignore(request, message):
    pass


def test_a_launcher_is_a_file_a_name_and_a_config_of_the_same_name():
    files = {path.stem for path in (ROOT / "bench" / "launchers").glob("*.py")}
    assert set(LAUNCHERS) == set(options("launcher"))
    assert set(LAUNCHERS) <= files
    for name in LAUNCHERS:
        assert type(launcher(f"launcher={name}")) is LAUNCHERS.get(name)


def test_options_are_typed_data_and_a_typo_is_one_line():
    chosen = launcher("launcher=slurm", "launcher.partition=gpu", "launcher.wait=false", "launcher.setup=[a,b]")
    assert (chosen.partition, chosen.wait, chosen.setup) == ("gpu", False, ("a", "b"))
    assert chosen.folder == ".cache/logs/slurm"
    with pytest.raises(ValueError, match="did you mean 'partition'"):
        compose(["launcher=slurm", "launcher.partitoin=gpu"])
    with pytest.raises(ValueError, match=r"many|int|Value"):
        compose(["launcher=joblib", "launcher.n_jobs=many"])
    with pytest.raises(ValueError, match="unknown launcher 'slrum'; did you mean 'slurm'"):
        compose(["launcher=slrum"])


@pytest.mark.parametrize("extra", ["joblib", "slurm", "ray"])
def test_an_absent_package_names_the_extra_that_brings_it(extra, tmp_path, monkeypatch):
    package = {"slurm": "submitit"}.get(extra, extra)
    monkeypatch.setitem(sys.modules, package, None)
    words = f"launcher={extra} needs {package}: pip install 'flash-vaed[{extra}]'"
    with pytest.raises(ValueError, match=re.escape(words)):
        list(LAUNCHERS.get(extra)().launch([request(tmp_path)], ignore))
    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()
    assert needed("json", "x").dumps(1) == "1"


def test_a_request_that_travels_has_whole_paths_and_its_own_threads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = dataclasses.replace(request(Path()), results="results", logs="logs")
    there = anywhere(here, 3)
    for path in (there.results, there.logs, there.places.cache, there.places.decoders, there.places.videos):
        assert path.startswith(f"{tmp_path}{os.sep}")
    assert there.places.curves is None
    assert there.threads == 3
    assert anywhere(dataclasses.replace(here, threads=2), 3).threads == 2
    assert anywhere(dataclasses.replace(here, results="s3://bucket/x"), 1).results == "s3://bucket/x"


def test_a_run_counts_once_its_rows_can_be_read_here(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "ARRIVAL_S", 0.1)
    done = perform(request(tmp_path), ignore, measure)
    assert arrived(done) == done
    elsewhere = dataclasses.replace(done, request=request(tmp_path / "other"))
    assert arrived(elsewhere).failed
    assert "no folder which both machines share" in arrived(elsewhere).error


def test_a_lost_run_is_a_failure_of_one_line(tmp_path):
    done = lost(request(tmp_path), "a\n traceback " + "x" * 500)
    assert isinstance(done, Done)
    assert done.failed
    assert done.error.startswith("a traceback x")
    assert len(done.error) <= 300
