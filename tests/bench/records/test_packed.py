"""Many runs in two files, folders at an address, pictures: what is read is what was written, or named as left out."""

from __future__ import annotations

import io
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import records
from bench.records import remote
from bench.records.frames import frames_folder, png_bytes
from bench.records.schema import pack_paths
from tests.many_results import many_results
from tests.synthetic_results import make_run, store


def test_packed_runs_read_as_their_part_files_do(tmp_path):
    folder = store(tmp_path / "parts", *(make_run(f"r{n}", psnr=20.0 + n) for n in range(5)))
    assert records.pack(folder, tmp_path / "packed") == (5, [])
    parts, packed = records.read(folder), records.read(tmp_path / "packed")
    for one, other in zip(parts[:2], packed[:2], strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert packed[2] == []


def test_of_a_run_that_is_there_twice_the_better_is_read(tmp_path):
    store(tmp_path / "old", make_run("r", psnr=20.0), make_run("only packed"[:4]))
    records.pack(tmp_path / "old", tmp_path / "both")
    store(tmp_path / "both", make_run("r", psnr=30.0, finished_at="2027-01-01T00:00:00+00:00"))
    runs, rows, _ = records.read(tmp_path / "both")
    assert sorted(runs["run_id"]) == ["only", "r"]
    values = rows[(rows["run_id"] == "r") & (rows["metric"] == "psnr") & (rows["arm"] == "student")]["value"]
    assert values.max() > 30
    store(tmp_path / "older", make_run("r", psnr=10.0, finished_at="2025-01-01T00:00:00+00:00"))
    records.pack(tmp_path / "old", tmp_path / "older")
    rows = records.read(tmp_path / "older")[1]
    values = rows[(rows["run_id"] == "r") & (rows["metric"] == "psnr") & (rows["arm"] == "student")]["value"]
    assert values.max() > 20, "the packed run is the later one"
    store(tmp_path / "both", make_run("s", status="oom", error="memory"))
    store(tmp_path / "fresh", make_run("s"))
    assert set(records.read([tmp_path / "both", tmp_path / "fresh"])[0]["status"]) == {"ok"}


def test_rows_of_a_few_runs_come_from_their_own_files(tmp_path):
    store(tmp_path / "a", make_run("p"), make_run("q"))
    records.pack(tmp_path / "a", tmp_path / "b")
    store(tmp_path / "b", make_run("r"))
    _, rows, _, places = records.read_placed(tmp_path / "b")
    few = records.rows_at(places, ["r", "q", "absent"])
    assert sorted(few["run_id"].unique()) == ["q", "r"]
    expected = rows[rows["run_id"].isin(["q", "r"])].sort_values("run_id", kind="stable").reset_index(drop=True)
    pd.testing.assert_frame_equal(few.sort_values("run_id", kind="stable").reset_index(drop=True), expected)
    places["r"].unlink()
    assert list(records.rows_at(places, ["r", "q"])["run_id"].unique()) == ["q"]


@pytest.mark.faults
@pytest.mark.parametrize("broken", ["runs", "measurements"])
def test_a_torn_pack_is_named(tmp_path, broken):
    records.pack(store(tmp_path / "a", make_run("r")), tmp_path / "b")
    path = dict(zip(("runs", "measurements"), pack_paths(tmp_path / "b"), strict=True))[broken]
    path.write_bytes(path.read_bytes()[:50])
    runs, _, problems = records.read(tmp_path / "b")
    assert runs.empty
    assert "torn" in str(problems[0])


@pytest.mark.faults
def test_hostile_rows_of_a_pack_are_left_out_and_the_others_read(tmp_path):
    rows = [make_run(f"r{n}")[0] | {"schema_version": 1} for n in range(5)]
    rows[1]["run_id"] = "../../etc/passwd"
    rows[2]["spec_json"] = "{"
    rows[3]["run_id"] = "r0"
    measurements = [row for n in range(5) for row in make_run(f"r{n}")[1]]
    records.write_pack(tmp_path, pa.Table.from_pylist(rows, schema=records.RUNS),
                       pa.Table.from_pylist(measurements, schema=records.MEASUREMENTS))  # fmt: skip
    runs, read, problems = records.read(tmp_path)
    assert sorted(runs["run_id"]) == ["r0", "r4"]
    assert set(read["run_id"]) == {"r0", "r4"}
    assert len(problems) == 3


@pytest.mark.faults
def test_a_newer_pack_is_refused_by_name(tmp_path):
    records.pack(store(tmp_path / "a", make_run("r")), tmp_path / "b")
    path = pack_paths(tmp_path / "b")[0]
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"table": "runs", "schema_version": "99"}), path)
    assert "newer version" in str(records.read(tmp_path / "b")[2][0])


def test_merging_says_that_packed_runs_stay_where_they_are(tmp_path):
    records.pack(store(tmp_path / "a", make_run("r")), tmp_path / "b")
    assert "not merged" in str(records.merge(tmp_path / "b", tmp_path / "c").problems[0])


def test_ten_thousand_runs_are_made_and_read_in_seconds(tmp_path):
    """A tenth of the size here; `python -m tests.many_results FOLDER` makes all of it."""
    start_s = time.monotonic()
    many_results(tmp_path, runs=1000, rows_per_run=200)
    runs, rows, problems = records.read(tmp_path)
    assert (len(runs), len(rows), problems) == (1000, 980 * 200, [])
    assert time.monotonic() - start_s < 20


def test_an_address_is_copied_once_and_follows_what_changes(tmp_path, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "REFRESH_S", 0.0)
    store(tmp_path / "here", make_run("r"), make_run("s"))
    files, address = fsspec.filesystem("memory"), f"memory://{tmp_path.name}/results"
    files.put(str(tmp_path / "here"), address, recursive=True)
    assert sorted(records.read(address)[0]["run_id"]) == ["r", "s"]
    copy = remote.local_copy(address)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*.parquet")}
    files.rm(f"{address}/runs/s.parquet")
    assert list(records.read(address)[0]["run_id"]) == ["r"]
    assert (copy / "runs" / "r.parquet").stat().st_mtime_ns == before[copy / "runs" / "r.parquet"], "not fetched twice"
    for wrong in ("memory://nowhere/at/all", "nonsense://x", "file:///absent/folder"):
        with pytest.raises(ValueError, match="cannot be read"):
            records.read(wrong)


def test_pictures_come_back_bit_for_bit(tmp_path):
    image = pytest.importorskip("PIL.Image")
    frames = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    folder = records.write_frames(tmp_path, "run-1", "a/b c.mp4", "student", frames)
    assert folder.is_relative_to(tmp_path / "frames" / "run-1")
    assert records.stored_clips(tmp_path, "run-1") == ["a/b c.mp4"]
    found = records.stored_frames(tmp_path, "run-1", "a/b c.mp4")
    assert list(found) == ["student"]
    back = [np.asarray(image.open(io.BytesIO(path.read_bytes()))) for path in found["student"]]
    np.testing.assert_array_equal(np.stack(back), frames)
    assert png_bytes(frames[0]).startswith(b"\x89PNG")


@pytest.mark.faults
@pytest.mark.parametrize(("run_id", "clip"), [("..", "a"), ("a/b", "a"), ("r", ".."), ("r", ""), ("r", "x" * 300)])
def test_no_name_leaves_the_folder_of_pictures(tmp_path, run_id, clip):
    with pytest.raises(ValueError, match=r"cannot name|not a safe"):
        frames_folder(tmp_path, run_id, clip)


def test_only_8_bit_rgb_is_written(tmp_path):
    with pytest.raises(ValueError, match="uint8"):
        records.write_frames(tmp_path, "r", "c", "student", np.zeros((1, 2, 2, 3)))
    with pytest.raises(ValueError, match="who"):
        records.write_frames(tmp_path, "r", "c", "me", np.zeros((1, 2, 2, 3), dtype=np.uint8))
