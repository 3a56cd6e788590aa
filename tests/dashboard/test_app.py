"""The dashboard in every state a results folder can be in: never a traceback, never a write."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.dashboard.pages import opened, run
from tests.synthetic_results import make_run, quickstart, store

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def fresh_cache():
    st.cache_data.clear()


def open_page(*folders: Path | str, **query: str | list[str]) -> AppTest:
    """The first page as a browser would get it from the URL."""
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=30)
    return opened(app, *folders, **query)


def said(page: AppTest) -> str:
    """All plain messages and captions of the page."""
    parts = [*page.warning, *page.info, *page.error, *page.caption, *page.code]
    return "\n".join(str(part.value) for part in parts)


def table(page: AppTest):
    return page.dataframe[0].value


def test_the_page_shows_figure_and_table(tmp_path):
    page = open_page(quickstart(tmp_path))
    assert [page.selectbox(key=key).value for key in ("group", "x", "y")] == ["cpu-a / p1", "speedup", "psnr_source"]
    assert list(table(page)["label"])[:2] == ["teacher", "2D only"], "best quality first"
    assert list(table(page)["front"]).count("*") == 7
    assert len(table(page)) == 11
    assert len(page.get("plotly_chart")) == 1


def test_axes_can_be_chosen_and_go_into_the_url(tmp_path):
    page = open_page(quickstart(tmp_path))
    options = page.selectbox(key="y").options
    assert "SSIM against teacher" in options
    assert not any("LPIPS" in option for option in options), "nothing measured"
    page.selectbox(key="x").select("decode_time_ms")
    page.selectbox(key="y").select("ssim_teacher")
    run(page)
    assert {name: "".join(page.query_params[name]) for name in "xy"} == {"x": "decode_time_ms", "y": "ssim_teacher"}
    again = open_page(tmp_path, x="decode_time_ms", y="ssim_teacher")
    assert [again.selectbox(key=key).value for key in ("x", "y")] == ["decode_time_ms", "ssim_teacher"]


def test_a_url_with_nonsense_falls_back_to_the_default(tmp_path):
    page = open_page(quickstart(tmp_path), x="mood", y="<script>", group="nowhere / p9", study=["none"])
    assert page.selectbox(key="x").value == "speedup"
    assert page.multiselect(key="study").value == ["quickstart"]


def test_only_one_device_and_protocol_is_shown(tmp_path):
    store(tmp_path, make_run("a"), make_run("b"), make_run("c", device_id="gpu"), make_run("d", protocol_id="p2"))
    page = open_page(tmp_path)
    assert list(table(page)["label"]) == ["a", "b"]
    assert len(page.selectbox(key="group").options) == 3
    page.selectbox(key="group").select("gpu / p1")
    assert list(table(run(page))["label"]) == ["c"]


def test_studies_filter_the_points(tmp_path):
    store(tmp_path, make_run("a", study="one"), make_run("b", study="two"))
    page = open_page(tmp_path, study=["two"])
    assert list(table(page)["label"]) == ["b"]
    page.multiselect(key="study").set_value([])
    assert "No finished run" in said(run(page))


def test_failed_runs_and_missing_metrics_are_said(tmp_path):
    page = open_page(quickstart(tmp_path))
    assert "1 run(s) failed" in said(page)
    assert "no AlexNet weights" in said(page)
    assert list(page.dataframe[1].value["error"]) == ["out of memory, 2.1 GB asked"]


def test_only_failures_is_a_message(tmp_path):
    page = open_page(store(tmp_path, make_run("r", status="crashed", error="signal 11")))
    assert "No finished run" in said(page)
    assert list(page.dataframe[0].value["error"]) == ["signal 11"]


def test_speed_without_quality_is_a_message(tmp_path):
    assert "No finished run" in said(open_page(store(tmp_path, make_run("r", metrics=False))))


def test_a_missing_folder_is_a_message(tmp_path):
    page = open_page(tmp_path / "absent")
    assert "does not exist" in said(page)
    assert "absent" in said(page)
    assert not page.dataframe


@pytest.mark.faults
def test_an_empty_folder_says_how_to_start(tmp_path):
    assert "python -m bench multirun" in said(open_page(tmp_path))


def test_no_folder_named_is_a_message():
    assert "Name a results folder" in said(open_page(""))


@pytest.mark.faults
def test_a_torn_file_is_named_and_the_good_runs_shown(tmp_path):
    folder = store(tmp_path, make_run("good"), make_run("torn"))
    path = folder / "runs" / "torn.parquet"
    path.write_bytes(path.read_bytes()[:100])
    page = open_page(folder)
    assert "1 file(s) could not be read" in said(page)
    assert str(path) in said(page)
    assert list(table(page)["label"]) == ["good"]


def test_several_folders_are_shown_together(tmp_path):
    page = open_page(store(tmp_path / "a", make_run("r1")), store(tmp_path / "b", make_run("r2")))
    assert set(table(page)["label"]) == {"r1", "r2"}


@pytest.mark.faults
def test_a_file_that_is_replaced_while_the_page_is_open_is_read_again(tmp_path):
    page = open_page(store(tmp_path, make_run("r", psnr=20.0)))
    store(tmp_path, make_run("r", psnr=35.0), make_run("s", psnr=10.0))
    assert list(table(run(page))["psnr_source"].round(3)) == [35.0, 10.0]
    for path in tmp_path.rglob("r.parquet"):
        path.unlink()
    assert list(table(run(page))["label"]) == ["s"]


@pytest.mark.faults
def test_nothing_is_written_to_the_results(tmp_path):
    quickstart(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    open_page(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.faults
def test_stored_text_is_never_markup(tmp_path):
    hostile = "![x](http://127.0.0.1/x.png) <script>alert(1)</script> `a` $x$ :red[b]"
    row, rows = make_run("r", label=hostile, study=hostile)
    for gap in rows:
        gap["note"] = gap["note"] and f"`{hostile}"
    failed = make_run("f", status="error", error=hostile, label=hostile, study=hostile)
    page = open_page(store(tmp_path, (row, rows), failed))
    for part in (*page.markdown, *page.warning, *page.info, *page.caption):
        outside_code = "".join(part.value.split("`")[::2])
        assert part.value.count("`") % 2 == 0
        assert "http" not in outside_code
        assert "<" not in outside_code
        assert not getattr(part.proto, "allow_html", False)


def test_a_hundred_thousand_rows_open_in_seconds(tmp_path):
    for index in range(4):
        row, rows = make_run(f"r{index}")
        frames = [r for r in rows if r["clip"] == "bikes"]
        store(tmp_path, (row, rows + [r | {"clip": f"clip {n}"} for n in range(1000) for r in frames]))
    start_s = time.monotonic()
    assert len(table(open_page(tmp_path))) == 4
    assert time.monotonic() - start_s < 8
