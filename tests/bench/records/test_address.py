"""A run at an address is whole or absent at any moment, and comes back as the one that was sent."""

from __future__ import annotations

import fsspec
import pandas as pd
import pytest

from bench import records
from bench.records import remote, write
from tests.synthetic_results import make_run, store


@pytest.fixture(params=["memory", "file"])
def address(request, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    monkeypatch.setattr(write, "SEND_AGAIN_S", (0.0,))
    return f"memory://{tmp_path.name}/results" if request.param == "memory" else f"file://{tmp_path}/there/results"


def names(address):
    files, root = fsspec.core.url_to_fs(address)
    return sorted(path.removeprefix(root) for path in files.find(root))


def outbox():
    folder = remote.cache_root() / "outbox"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_run_sent_is_the_run_read(address, tmp_path):
    row, rows = make_run("r", psnr=31.0)
    assert records.write_run(address, row, rows)
    assert names(address) == ["/measurements/r.parquet", "/runs/r.parquet"]
    for there, here in zip(
        records.read(address)[:2], records.read(store(tmp_path / "here", (row, rows))), strict=False
    ):
        pd.testing.assert_frame_equal(there, here)
    assert records.is_stored(address, "r")
    assert records.is_written(address, "r")
    assert not records.is_stored(address, "s")
    assert outbox() == []


def test_a_failed_repeat_does_not_replace_a_finished_run(address):
    records.write_run(address, *make_run("r"))
    assert not records.write_run(address, *make_run("r", status="error", error="x"))
    assert records.is_stored(address, "r")
    assert records.write_run(address, *make_run("s", status="error", error="x"))
    assert records.is_written(address, "s")
    assert not records.is_stored(address, "s")
    assert records.write_run(address, *make_run("s"))
    assert records.is_stored(address, "s")
    assert sorted(records.read(address)[0]["status"]) == ["ok", "ok"]


def test_a_reader_never_meets_half_a_run(address, monkeypatch):
    """Whatever call to the file system is the last one before the machine dies, readers see a whole run or none."""
    files, _ = fsspec.core.url_to_fs(address)
    monkeypatch.setattr(remote, "REFRESH_S", 0.0)
    seen = []

    def watched(name):
        call = getattr(type(files), name)

        def look_after(self, *args, **kwargs):
            call(self, *args, **kwargs)
            seen.append((name, [len(table) for table in _read(address)]))

        monkeypatch.setattr(type(files), name, look_after)

    watched("put_file")
    watched("mv")
    row, rows = make_run("r")
    records.write_run(address, row, rows)
    counts = [count for _, count in seen]
    assert [name for name, _ in seen] == ["put_file", "mv"] * 2
    assert counts == [[0, 0]] * 3 + [[1, len(rows)]]


def _read(address):
    runs, rows, problems = records.read(address)
    assert not problems
    return runs, rows


def test_an_address_that_fails_once_is_tried_again(address, monkeypatch):
    files, _ = fsspec.core.url_to_fs(address)
    put, failures = type(files).put_file, ["down"]

    def flaky(self, *args, **kwargs):
        if failures:
            raise OSError(failures.pop())
        return put(self, *args, **kwargs)

    monkeypatch.setattr(type(files), "put_file", flaky)
    assert records.write_run(address, *make_run("r"))
    assert records.is_stored(address, "r")


def test_a_run_that_cannot_be_sent_is_kept_and_told_how_to_send(address, monkeypatch):
    files, _ = fsspec.core.url_to_fs(address)

    def down(self, *args, **kwargs):
        raise OSError("no route to host")

    with monkeypatch.context() as broken:
        broken.setattr(type(files), "put_file", down)
        with pytest.raises(ValueError, match="no route to host") as caught:
            records.write_run(address, *make_run("r"))
    assert "\n" not in str(caught.value)
    (kept,) = outbox()
    assert f"python -m bench merge {kept} --results {address}" in str(caught.value)
    assert records.merge(kept, address).copied == ["r"]
    assert records.is_stored(address, "r")


def test_merging_into_an_address_keeps_the_better_run_and_twice_is_once(address, tmp_path):
    here = store(tmp_path / "here", make_run("r", psnr=20.0), make_run("s", status="error", error="x"), make_run("t"))
    records.write_run(address, *make_run("r", psnr=30.0, finished_at="2027-01-01T00:00:00+00:00"))
    records.write_run(address, *make_run("s"))
    first = records.merge(here, address)
    assert (first.copied, first.kept, first.problems) == (["t"], ["r", "s"], [])
    assert records.merge(here, address).copied == []
    runs, rows, _ = records.read(address)
    assert set(runs["status"]) == {"ok"}
    psnr = rows[(rows["run_id"] == "r") & (rows["metric"] == "psnr") & (rows["arm"] == "student")]["value"]
    assert psnr.mean() > 25
    assert records.merge(address, tmp_path / "home").copied == ["r", "s", "t"]


def test_an_address_nobody_knows_is_one_line():
    with pytest.raises(ValueError, match="cannot read results at 'nonsense://x'") as caught:
        records.is_stored("nonsense://x", "r")
    assert "\n" not in str(caught.value)
