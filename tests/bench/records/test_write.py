"""Whatever happens while a run is stored, a reader sees all of it or nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bench import records
from bench.records import write
from tests.synthetic_results import make_run, store


def test_what_is_written_is_read_back(tmp_path):
    row, rows = make_run("run-1", psnr=31.5)
    assert records.write_run(tmp_path, row, rows)
    runs, measurements, problems = records.read(tmp_path)
    assert problems == []
    assert runs.loc[0, "label"] == "run-1"
    assert runs.loc[0, "schema_version"] == records.SCHEMA_VERSION
    assert len(measurements) == len(rows)
    stored = measurements.to_dict("records")
    assert [(r["metric"], r["arm"]) for r in stored] == [(r["metric"], r["arm"]) for r in rows]
    np.testing.assert_array_equal(measurements["value"], [np.nan if r["value"] is None else r["value"] for r in rows])


def test_files_say_version_table_and_units(tmp_path):
    store(tmp_path, make_run("run-1"))
    schema = pq.read_schema(tmp_path / "runs" / "run-1.parquet")
    assert schema.metadata[b"table"] == b"runs"
    assert schema.metadata[b"schema_version"] == b"1"
    assert schema.field("wall_s").metadata[b"unit"] == b"s"


@pytest.mark.faults
@pytest.mark.parametrize(
    "run_id", ["../../x", "/etc/x", "a/b", "", ".hidden", "-rf", "a\0b", "x" * 300, "\u202etxt", "a b", "a\n", None, 3]
)
def test_unsafe_run_ids_are_refused_and_write_nothing(tmp_path, run_id):
    row, rows = make_run("run-1")
    row["run_id"] = run_id
    with pytest.raises(ValueError, match="run_id"):
        records.write_run(tmp_path / "results", row, [{**r, "run_id": run_id} for r in rows])
    assert not list(tmp_path.rglob("*.*"))


def test_an_undecodable_file_name_is_stored_readably(tmp_path):
    row, rows = make_run("run-1")
    rows[0]["clip"] = b"caf\xe9.avi".decode("utf-8", "surrogateescape")
    store(tmp_path, (row, rows))
    assert records.read(tmp_path)[1].loc[0, "clip"] == "caf\\udce9.avi"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda row, rows: row.update(statuss="ok"), "statuss"),
        (lambda row, rows: row.pop("device_id"), "device_id"),
        (lambda row, rows: row.update(status="fine"), "fine"),
        (lambda row, rows: row.update(label=None), "label"),
        (lambda row, rows: row.update(wall_s="long"), "wall_s"),
        (lambda row, rows: row.update(spec_json="{"), "spec_json"),
        (lambda row, rows: row.update(schema_version=99), "schema_version"),
        (lambda row, rows: rows.clear(), "no measurement"),
        (lambda row, rows: rows[0].update(run_id="other"), "other"),
        (lambda row, rows: rows[0].update(colour="red"), "colour"),
        (lambda row, rows: rows[0].pop("unit"), "unit"),
        (lambda row, rows: rows[0].update(value="0.1"), "value"),
        (lambda row, rows: rows[0].update(repeat=1.5), "repeat"),
        (lambda row, rows: rows[0].update(repeat=True), "repeat"),
        (lambda row, rows: rows[0].update(repeat=2**70), "repeat"),
        (lambda row, rows: rows[0].update(higher_is_better=1), "higher_is_better"),
        (lambda row, rows: rows[0].update(value=None), "no note"),
    ],
)
def test_bad_rows_are_refused_by_name(tmp_path, change, named):
    row, rows = make_run("run-1")
    change(row, rows)
    with pytest.raises(ValueError, match=named):
        records.write_run(tmp_path, row, rows)
    assert not list(tmp_path.iterdir())


def test_a_failed_run_is_stored_and_replaced_by_a_later_ok_one(tmp_path):
    store(tmp_path, make_run("run-1", status="crashed", error="signal 11"))
    assert records.stored_runs(tmp_path) == set()
    store(tmp_path, make_run("run-1"))
    assert records.stored_runs(tmp_path) == {"run-1"}
    assert len(records.read(tmp_path)[0]) == 1


def test_a_failed_repeat_does_not_replace_an_ok_run(tmp_path):
    store(tmp_path, make_run("run-1", psnr=30.0))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    assert records.write_run(tmp_path, *make_run("run-1", status="oom", error="out of memory")) is False
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before


@pytest.mark.faults
def test_a_full_disk_leaves_the_old_file_and_no_partial(tmp_path, monkeypatch):
    store(tmp_path, make_run("run-1", status="error", error="x"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def no_space(table, stream):
        stream.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write, "_write_table", no_space)
    with pytest.raises(ValueError, match=r"cannot store run run-1 in .*No space left"):
        records.write_run(tmp_path, *make_run("run-1"))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_is_tried_before_the_work_and_left_as_it_was(tmp_path):
    records.check_folder(tmp_path / "results")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"results cannot be stored in .*; set paths.results=FOLDER"):
        records.check_folder(tmp_path / "file" / "results")


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path):
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(ValueError, match="cannot store run run-1"):
        records.write_run(tmp_path / "results", *make_run("run-1"))


@pytest.mark.faults
def test_measurements_without_their_runs_row_are_not_a_run(tmp_path, monkeypatch):
    """Killed between the two renames: the measurements are there, the commit point is not."""
    real, calls = write.write_atomically, []

    def killed_before_the_second(path: Path, content):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(write, "write_atomically", killed_before_the_second)
    with pytest.raises(KeyboardInterrupt):
        records.write_run(tmp_path, *make_run("run-1"))
    assert [path.parent.name for path in calls] == ["measurements", "runs"]
    runs, measurements, problems = records.read(tmp_path)
    assert runs.empty
    assert measurements.empty
    assert problems == []
    assert records.stored_runs(tmp_path) == set()


@pytest.mark.faults
def test_partials_of_the_dead_are_swept_and_those_of_the_living_kept(tmp_path):
    store(tmp_path, make_run("run-1"))
    dead, living = tmp_path / "runs" / ".a.0.partial", tmp_path / "runs" / ".b.0.partial"
    for path in (dead, living):
        path.write_bytes(b"half")
    os.utime(dead, (time.time() - 2 * write.STALE_PARTIAL_S,) * 2)
    store(tmp_path, make_run("run-2"))
    assert not dead.exists()
    assert living.exists()
    assert records.stored_runs(tmp_path) == {"run-1", "run-2"}


ROOT = Path(__file__).parents[3]
WRITER = """
import sys
from tests.synthetic_results import make_run, store
from pathlib import Path
for index in range(6):
    store(Path(sys.argv[1]), make_run(f"{sys.argv[2]}-{index}"), make_run("shared"))
"""


@pytest.mark.faults
def test_eight_processes_write_into_one_folder(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), f"w{index}"], cwd=ROOT) for index in range(8)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 8
    runs, _, problems = records.read(tmp_path)
    assert problems == []
    assert sorted(runs["run_id"]) == sorted([f"w{w}-{i}" for w in range(8) for i in range(6)] + ["shared"])
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.faults
def test_killed_writers_never_leave_a_half_run(tmp_path):
    endless = WRITER.replace("range(6)", "range(10**6)")
    for attempt in range(4):
        writer = subprocess.Popen([sys.executable, "-c", endless, str(tmp_path), f"k{attempt}"], cwd=ROOT)
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob(f"runs/k{attempt}-*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.01 * attempt)
        writer.kill()
        writer.wait()
        runs, _, problems = records.read(tmp_path)
        assert problems == []
        assert len(runs) > attempt
