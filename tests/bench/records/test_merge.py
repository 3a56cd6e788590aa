"""Merging copies whole runs, once, and the better of two."""

from __future__ import annotations

import itertools

import pytest

from bench import records
from tests.synthetic_results import make_run, store


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.parquet")}


@pytest.mark.faults
def test_merging_twice_is_merging_once(tmp_path):
    sources = [store(tmp_path / "a", make_run("r1"), make_run("r2")), store(tmp_path / "b", make_run("r3"))]
    first = records.merge(sources, tmp_path / "all")
    once = snapshot(tmp_path / "all")
    second = records.merge(sources, tmp_path / "all")
    assert first.copied == ["r1", "r2", "r3"]
    assert second.copied == []
    assert sorted(second.kept) == ["r1", "r2", "r3"]
    assert snapshot(tmp_path / "all") == once
    assert records.stored_runs(tmp_path / "all") == {"r1", "r2", "r3"}


@pytest.mark.faults
def test_the_order_of_sources_does_not_matter(tmp_path):
    sources = [
        store(tmp_path / "a", make_run("r", psnr=30.0, finished_at="2026-01-01T00:00:00+00:00")),
        store(tmp_path / "b", make_run("r", psnr=31.0, finished_at="2026-01-02T00:00:00+00:00")),
        store(tmp_path / "c", make_run("r", status="timeout", error="x", finished_at="2026-01-03T00:00:00+00:00")),
    ]
    merged = []
    for index, order in enumerate(itertools.permutations(sources)):
        records.merge(order, tmp_path / f"all{index}")
        merged.append(snapshot(tmp_path / f"all{index}"))
    assert all(content == snapshot(sources[1]) for content in merged)


def test_a_damaged_source_file_is_reported_and_not_copied(tmp_path):
    source = store(tmp_path / "a", make_run("good"), make_run("bad"))
    (source / "measurements" / "bad.parquet").write_bytes(b"")
    report = records.merge(source, tmp_path / "all")
    assert report.copied == ["good"]
    assert [problem.path for problem in report.problems] == [str(source / "measurements" / "bad.parquet")]
    assert records.read(tmp_path / "all")[2] == []


def test_a_missing_source_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        records.merge(tmp_path / "absent", tmp_path / "all")
