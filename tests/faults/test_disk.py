"""A disk that is full, folders that cannot be written: one line that names them, and what was stored stays whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import records
from bench.__main__ import main
from tests.bench.tiny_place import make_place, seconds_long
from tests.faults.examples import ROOT, bench, environment, finished

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_sweep_on_a_full_disk_stops_in_a_line_and_goes_on_when_there_is_room(place, small_disk):
    """Room for the first run; the others go on where it stands once there is more."""
    command = ["multirun", "plan=teacher,paper,dense", "distill=none", "prune.ratio=0.5"]
    command += [word for word in seconds_long(place) if not word.startswith("distill.")]
    first = bench(["run", *command[2:], "plan=teacher", f"paths.results={small_disk}"], place)
    assert first.wait(timeout=120) == 0
    kept = finished(small_disk)
    content = {path: path.read_bytes() for path in small_disk.rglob("*.parquet")}
    room = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    (small_disk / "ballast").write_bytes(bytes(room - 8192))

    stopped = bench([*command, f"paths.results={small_disk}"], place)
    _, complaint = stopped.communicate(timeout=120)
    assert stopped.returncode == 2
    assert "No space left on device" in complaint
    assert "Traceback" not in complaint
    assert {path: path.read_bytes() for path in small_disk.rglob("*.parquet") if path in content} == content
    assert records.read(small_disk)[2] == []
    assert not list(small_disk.rglob("*.partial"))

    (small_disk / "ballast").unlink()
    resumed = bench([*command, f"paths.results={small_disk}"], place)
    _, complaint = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, complaint
    assert len(finished(small_disk)) == 1 + 3
    assert kept.items() <= finished(small_disk).items()


TOO_LARGE = """
import resource, sys
from tests.synthetic_results import make_run
from bench import records
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
records.write_run(sys.argv[1], *make_run("run-1", psnr=40.0))
"""


def test_a_write_that_the_system_refuses_half_way_leaves_what_was_there(tmp_path):
    """The limit on the size of files stands for a full disk where none can be mounted."""
    from tests.synthetic_results import make_run, store

    store(tmp_path, make_run("run-1", status="error", error="x"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert max(map(len, before.values())) > 4096
    writer = subprocess.run(
        [sys.executable, "-c", TOO_LARGE, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False,
        env=environment(),
    )  # fmt: skip
    assert "ValueError: cannot store run run-1" in writer.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("kind", ["results", "logs", "cache", "decoders"])
@pytest.mark.parametrize("where", ["below a file", "where nobody can write"])
def test_a_folder_that_cannot_be_written_is_one_line(place, tmp_path, monkeypatch, capsys, kind, where):
    """Also for root, whom the permissions of ordinary folders do not stop."""
    if where == "where nobody can write" and not Path("/proc/self").exists():
        pytest.skip("this system has no /proc")
    (tmp_path / "file").touch()
    folder = {"below a file": tmp_path / "file" / "x", "where nobody can write": Path("/proc/none")}[where]
    folders = {name: tmp_path / name for name in ("results", "logs", "cache", "decoders")} | {kind: folder}
    monkeypatch.chdir(tmp_path)
    asked = ["run", *seconds_long(place), "prune.ratio=0.5", "task=distill", "paths.curves=null"]
    code = main([*asked, *(f"paths.{name}={path}" for name, path in folders.items())])
    complaint = capsys.readouterr().err
    assert code == (2 if kind in ("results", "logs") else 1)
    assert "Traceback" not in complaint
    assert str(folder) in complaint
    assert f"set paths.{kind}=FOLDER" in complaint
    if code == 1:
        assert list(records.read(tmp_path / "results")[0]["status"]) == ["error"]
