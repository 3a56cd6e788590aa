"""A file is there whole or not at all; what a killed writer left goes with the next one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from flash_vaed import whole_file as module
from flash_vaed.whole_file import whole_file


def test_it_appears_at_the_end_on_the_disk_and_alone(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        module.os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    with whole_file(tmp_path / "a.txt") as partial:
        partial.write_text("whole")
        assert not (tmp_path / "a.txt").exists()
    assert os.listdir(tmp_path) == ["a.txt"]
    assert synced == [str(partial), str(tmp_path)], "first the content, then the name"


def _write_half(file: Path) -> None:
    file.write_text("half")
    raise OSError("full")


@pytest.mark.faults
def test_an_error_leaves_what_was_there(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(OSError, match="full"), whole_file(tmp_path / "a.txt") as partial:
        _write_half(partial)
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.faults
def test_what_the_dead_left_is_swept_and_what_the_living_write_is_kept(tmp_path):
    dead, living, other = (tmp_path / name for name in (".a.1.partial.txt", ".a.2.partial.txt", ".b.1.partial.txt"))
    for path in (dead, living, other):
        path.write_text("half")
    for path in (dead, other):
        os.utime(path, (time.time() - 2 * module.STALE_S,) * 2)
    with whole_file(tmp_path / "a.txt") as partial:
        partial.write_text("whole")
    assert sorted(os.listdir(tmp_path)) == [living.name, other.name, "a.txt"]
