"""A results folder is looked over: sound runs are counted, lost ones named, leftovers told apart; nothing changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import main
from bench.records.check import check
from tests.synthetic_results import make_run, store


@pytest.fixture
def folder(tmp_path) -> Path:
    return store(tmp_path / "results", make_run("a"), make_run("b", status="oom", error="too big"), make_run("c"))


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_sound_folder_has_no_problem(folder, capsys):
    found = check(folder)
    assert found.statuses == {"ok": 2, "oom": 1}
    assert found.rows > 0
    assert found.problems == found.leftovers == []
    assert main(["fsck", str(folder)]) == 0
    assert "2 ok, 1 oom runs" in capsys.readouterr().out


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["runs", "measurements"])
def test_a_torn_file_is_a_lost_run(folder, kind, capsys):
    path = folder / kind / "a.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    before = snapshot(folder)
    assert main(["fsck", str(folder)]) == 1
    shown = capsys.readouterr().out
    assert "1 ok, 1 oom runs" in shown
    assert f"lost      {path}: not a readable Parquet file" in shown
    assert snapshot(folder) == before


def test_what_killed_processes_left_is_no_problem(folder, capsys):
    (folder / "runs" / "c.parquet").unlink()
    (folder / "measurements" / ".d.0123456789ab.partial").write_bytes(b"half")
    (folder / "runs" / "notes.txt").write_text("mine")
    assert main(["fsck", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "1 ok, 1 oom runs" in shown
    assert [line.split(": ")[1] for line in shown.splitlines() if "leftover" in line] == [
        "half a file", "no run names it", "no file of this project",
    ]  # fmt: skip


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["fsck", str(tmp_path / "absent")]) == 2
    assert "does not exist" in capsys.readouterr().err
