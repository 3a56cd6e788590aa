"""Good runs are read although bad files lie beside them, and each bad file is named."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import records
from tests.synthetic_results import make_run, store


@pytest.fixture
def folder(tmp_path):
    return store(tmp_path / "results", make_run("good"), make_run("bad"))


def rewrite(path, change):
    """Store the table of `path` after `change(table)`, keeping or replacing its metadata."""
    table = change(pq.read_table(path))
    pq.write_table(table, path)


def cast(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    index = table.schema.get_field_index(name)
    return table.set_column(index, name, table[name].cast(kind))


def replace_value(table: pa.Table, name: str, value: object) -> pa.Table:
    index = table.schema.get_field_index(name)
    field = table.schema.field(name).with_nullable(True)
    return table.set_column(index, field, pa.array([value] * table.num_rows, type=field.type))


BAD_RUNS = {
    "torn": (lambda path: path.write_bytes(path.read_bytes()[:-40]), "not a readable Parquet"),
    "zero bytes": (lambda path: path.write_bytes(b""), "empty"),
    "wrong magic": (lambda path: path.write_bytes(b"hello, world" * 50), "not a readable Parquet"),
    "foreign": (lambda path: pq.write_table(pa.table({"a": [1]}), path), "not a runs file"),
    "other table": (
        lambda path: path.write_bytes((path.parents[1] / "measurements/bad.parquet").read_bytes()),
        "not a runs",
    ),
    "no rows": (lambda path: rewrite(path, lambda t: t.slice(0, 0)), "0 rows"),
    "two rows": (lambda path: rewrite(path, lambda t: pa.concat_tables([t, t])), "2 rows"),
    "newer": (
        lambda path: rewrite(path, lambda t: t.replace_schema_metadata({"table": "runs", "schema_version": "99"})),
        "newer version .schema 99",
    ),
    "column gone": (lambda path: rewrite(path, lambda t: t.drop_columns(["device_id"])), "device_id"),
    "column type": (lambda path: rewrite(path, lambda t: cast(t, "wall_s", pa.string())), "wall_s"),
    "null": (lambda path: rewrite(path, lambda t: replace_value(t, "label", None)), "label"),
    "status": (lambda path: rewrite(path, lambda t: replace_value(t, "status", "great")), "great"),
    "json": (lambda path: rewrite(path, lambda t: replace_value(t, "spec_json", "{")), "spec_json"),
    "deep json": (lambda path: rewrite(path, lambda t: replace_value(t, "spec_json", "[" * 100_000)), "spec_json"),
    "renamed": (lambda path: rewrite(path, lambda t: replace_value(t, "run_id", "else")), "run_id differs"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "."),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", BAD_RUNS)
def test_a_bad_runs_file_is_named_and_the_good_run_read(folder, name):
    spoil, reason = BAD_RUNS[name]
    spoil(folder / "runs" / "bad.parquet")
    assert_only_good_is_read(folder, "runs/bad.parquet", reason)


BAD_MEASUREMENTS = {
    "missing": (lambda path: path.unlink(), "missing"),
    "torn": (lambda path: path.write_bytes(path.read_bytes()[:200]), "not a readable Parquet"),
    "no rows": (lambda path: rewrite(path, lambda t: t.slice(0, 0)), "no rows"),
    "foreign rows": (lambda path: rewrite(path, lambda t: replace_value(t, "run_id", "good")), "run_id differs"),
    "column type": (lambda path: rewrite(path, lambda t: cast(t, "value", pa.string())), "value"),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", BAD_MEASUREMENTS)
def test_a_bad_measurements_file_takes_its_run_out(folder, name):
    spoil, reason = BAD_MEASUREMENTS[name]
    spoil(folder / "measurements" / "bad.parquet")
    assert_only_good_is_read(folder, "measurements/bad.parquet", reason)


def assert_only_good_is_read(folder, bad, reason):
    runs, measurements, problems = records.read(folder)
    assert list(runs["run_id"]) == ["good"]
    assert set(measurements["run_id"]) == {"good"}
    assert len(problems) == 1
    assert problems[0].path == str(folder / bad)
    assert re.search(reason, problems[0].reason), problems[0]
    assert records.stored_runs(folder) == {"good"}


@pytest.mark.faults
def test_a_flipped_byte_is_noticed_or_harmless(folder):
    """Wherever it falls: what is read is what was written, or the file is named."""
    path = folder / "measurements" / "bad.parquet"
    content, written = path.read_bytes(), records.read(folder)[1]
    noticed = 0
    for position in range(4, len(content), 37):
        flipped = bytearray(content)
        flipped[position] ^= 0xFF
        path.write_bytes(bytes(flipped))
        _, measurements, problems = records.read(folder)
        assert problems or measurements.equals(written), f"byte {position}"
        noticed += bool(problems)
    assert noticed > 50


@pytest.mark.faults
def test_an_extra_column_is_ignored(folder):
    rewrite(folder / "runs" / "bad.parquet", lambda t: t.append_column("mood", pa.array(["fine"])))
    runs, _, problems = records.read(folder)
    assert len(runs) == 2
    assert problems == []
    assert "mood" not in runs


def test_other_files_in_the_folder_are_no_problem(folder):
    (folder / "runs" / "notes.txt").write_text("hello")
    (folder / "runs" / "._bad.parquet").write_bytes(b"mac")
    (folder / "README.md").write_text("hello")
    assert records.read(folder)[2] == []


def test_an_empty_folder_gives_empty_tables_with_all_columns(tmp_path):
    runs, measurements, problems = records.read(tmp_path)
    assert list(runs) == records.RUNS.names
    assert list(measurements) == records.MEASUREMENTS.names
    assert runs.empty
    assert measurements.empty
    assert problems == []


def test_a_missing_folder_is_one_clear_error_but_holds_no_stored_run(tmp_path):
    with pytest.raises(ValueError, match=r"absent.* does not exist"):
        records.read(tmp_path / "absent")
    assert records.stored_runs(tmp_path / "absent") == set()


def test_a_run_in_two_folders_counts_once_and_the_ok_one_wins(tmp_path):
    first = store(tmp_path / "a", make_run("r", psnr=30.0))
    second = store(tmp_path / "b", make_run("r", status="oom", error="x", finished_at="2027-01-01T00:00:00+00:00"))
    for folders in ([first, second], [second, first]):
        runs, measurements, _ = records.read(folders)
        assert list(runs["status"]) == ["ok"]
        assert len(measurements) == len(make_run("r")[1])


@pytest.mark.faults
def test_a_gap_and_a_measured_nan_stay_apart(tmp_path):
    row, rows = make_run("r")
    rows[0]["value"] = float("nan")
    store(tmp_path, (row, rows))
    _, measurements, _ = records.read(tmp_path)
    missing = measurements["value"].isna()
    assert missing.sum() == 2
    assert measurements.loc[missing, "note"].notna().sum() == 1


def test_no_result_file_is_touched_by_reading(folder):
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}
    records.read(folder)
    records.stored_runs(folder)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")} == before


read_module = sys.modules["bench.records.read"]  # the package has a function of that name
FIRST_VERSION = Path(__file__).parents[2] / "data" / "results_v1"


@pytest.mark.faults
def test_what_the_first_version_stored_is_read():
    runs, measurements, problems = records.read(FIRST_VERSION)
    assert problems == []
    assert list(runs["run_id"]) == ["first-version"]
    assert measurements["value"].notna().sum() > 20


@pytest.fixture
def next_version(monkeypatch):
    """As if this were the version after: both tables have a column more, which may be empty."""
    for module, name in ((read_module, "RUNS"), (read_module, "MEASUREMENTS")):
        schema = getattr(module, name)
        monkeypatch.setattr(module, name, schema.append(pa.field("came_later", pa.string())))
    monkeypatch.setattr(read_module, "SCHEMA_VERSION", records.SCHEMA_VERSION + 1)


@pytest.mark.faults
@pytest.mark.parametrize("packed", [False, True])
def test_files_from_before_a_column_are_read_and_the_column_is_empty(tmp_path, packed, request):
    folder = store(tmp_path / "results", make_run("old", psnr=31.0))
    if packed:
        assert records.pack([folder], tmp_path / "packed") == (1, [])
        folder = tmp_path / "packed"
    before = records.read(folder)
    request.getfixturevalue("next_version")
    runs, measurements, problems = records.read(folder)
    assert problems == []
    for now, then in ((runs, before[0]), (measurements, before[1])):
        assert now.pop("came_later").isna().all()
        assert now.equals(then)


@pytest.mark.faults
def test_a_column_that_must_be_there_is_missed_in_older_files_too(folder, next_version):
    rewrite(folder / "runs" / "bad.parquet", lambda t: t.drop_columns(["device_id"]))
    problem = next(p for p in records.read(folder)[2] if p.path.endswith("runs/bad.parquet"))
    assert problem.reason == "missing or differently typed columns: device_id"
