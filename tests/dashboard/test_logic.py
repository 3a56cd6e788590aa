"""Every page without a browser: what it computes, offers and says, and that a link brings it back."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from bench import records
from dashboard import cache
from dashboard.viewer import as_script, window_of
from dashboard.votes import read_votes, record, votes_file
from tests.dashboard.pages import opened, run
from tests.synthetic_results import comparison, generation, make_run, quickstart, scored, store, trained_run

HOSTILE = "</script><img src=x onerror=alert(1)> [x](http://127.0.0.1/x) `a` $x$ :red[b] " + "y" * 5000


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    st.cache_data.clear()
    st.cache_resource.clear()


def open_page(name: str, *folders: Path, **query: str | list[str]) -> AppTest:
    def show_page(name: str) -> None:
        import importlib

        importlib.import_module(f"dashboard.app_pages.{name}").show()

    app = AppTest.from_function(show_page, default_timeout=60, kwargs={"name": name})
    return opened(app, *folders, **query)


def said(app: AppTest) -> str:
    parts = [*app.warning, *app.info, *app.error, *app.caption, *app.code, *app.markdown]
    return "\n".join(str(part.value) for part in parts)


def texts_of(value: object) -> Iterator[str]:
    """Every text in a figure's specification."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_of(inner)


def study(folder: Path) -> Path:
    runs = [make_run(f"{name}{seed}", label=f"{name} seed={seed}", psnr=psnr + seed, study="one")
            for name, psnr in (("base", 20.0), ("good", 22.0), ("bad", 15.0)) for seed in range(3)]  # fmt: skip
    return store(folder, *runs)


def test_ablation_reads_a_study_in_words(tmp_path):
    page = open_page("ablation", study(tmp_path / "r"), control="base")
    assert "Better than base" in said(page)
    assert "good \\+2" in said(page)
    assert "Worse than base" in said(page)
    assert "No question is recorded" in said(page)
    assert len(page.get("plotly_chart")) == 2, "differences, and a heat map over variant and seed"
    table = page.dataframe[0].value
    assert set(table["variant"]) == {"good", "bad"}
    assert set(table["seeds"]) == {3}


def test_ablation_shows_a_question_and_its_control(tmp_path):
    runs = [make_run(name, label=name, study="distill_phases") for name in ("none", "full")]
    page = open_page("ablation", store(tmp_path / "r", *runs))
    assert "What is each phase of the distillation worth" in said(page)
    assert page.selectbox(key="control").value == "none"


def test_ablation_shows_untimed_studies(tmp_path):
    runs = []
    for seed in range(2):
        for name, psnr in (("base", 20.0), ("good", 22.0)):
            row, rows = make_run(f"{name}{seed}", label=f"{name} seed={seed}", psnr=psnr, study="untimed")
            runs.append((row, [one for one in rows if one["metric"] != "decode_time_s"]))
    page = open_page("ablation", store(tmp_path / "r", *runs))
    assert list(page.dataframe[0].value["variant"]) == ["good"]


def test_ablation_shows_arms_against_their_baseline(tmp_path):
    page = open_page("ablation", store(tmp_path / "r", comparison("c")))
    assert "Times as fast as `teacher`" in said(page)
    assert list(page.dataframe[0].value["arm"]) == ["teacher", "fast"]


def test_arms_stand_beside_runs_on_the_front(tmp_path):
    page = open_page("pareto", store(tmp_path / "r", comparison("c")))
    assert set(page.dataframe[0].value["label"]) == {"teacher", "fast"}
    assert page.selectbox(key="y").value == "psnr_float32"


def test_anatomy_draws_stages_next_to_the_teacher(tmp_path):
    row, rows = make_run("r")
    for arm in ("teacher", "student"):
        for stage in ("mid", "up3"):
            for metric in ("macs_per_frame", "parameters", "min_bytes_per_frame"):
                rows.append(records.measurement("r", arm, metric, 1e6, unit="1", higher_is_better=False, stage=stage))
    page = open_page("anatomy", store(tmp_path / "r", (row, rows)))
    assert page.multiselect(key="arm").value == ["teacher", "student"]
    assert {"conv2d", "depthwise3d"} <= set(page.dataframe[0].value["operator"])
    assert "measured by the stages task only" in said(page)


def test_training_draws_curves_weights_and_says_when_there_are_none(tmp_path):
    page = open_page("training", store(tmp_path / "r", trained_run("t", label="t seed=0")))
    assert len(page.get("plotly_chart")) == 2
    assert page.selectbox(key="curve").value == "watched psnr"
    page.selectbox(key="curve").select("loss pixels")
    run(page)
    assert "".join(page.query_params["curve"]) == "loss pixels"
    assert "No curve is stored" in said(open_page("training", store(tmp_path / "s", make_run("r"))))


def test_frames_start_at_the_worst_one(tmp_path):
    row, rows = make_run("r")
    worst = [one for one in rows if one["metric"] == "psnr" and one["against"] == "teacher" and one["clip"] == "bunny"]
    worst[2]["value"] = 3.0
    page = open_page("frames", store(tmp_path / "r", (row, rows)))
    assert (page.selectbox(key="clip").value, page.selectbox(key="frame").value) == ("bunny", "2")
    assert page.dataframe[0].value["value"].iloc[0] == 3.0
    assert "No pictures are stored" in said(page)


def test_pictures_are_shown_where_they_are_stored(tmp_path):
    folder = store(tmp_path / "r", make_run("r"), make_run("s"))
    frames = np.zeros((3, 4, 4, 3), dtype=np.uint8)
    for run_id in ("r", "s"):
        for who in ("source", "teacher", "student"):
            records.write_frames(folder, run_id, "bikes", who, frames)
    page = open_page("frames", folder, clip="bikes", blind="1")
    assert "No pictures" not in said(page)
    assert "Name a folder and the buttons work" in said(page)
    (tmp_path / "votes").mkdir()
    page.text_input(key="votes").set_value(str(tmp_path / "votes"))
    run(page)
    next(button for button in page.button if button.label == "No difference").click()
    run(page)
    votes = read_votes(tmp_path / "votes" / "votes.jsonl")
    assert list(votes["choice"]) == ["tie"]
    assert "1 votes so far" in [part.label for part in page.expander]


def test_end_to_end_shows_parts_ceiling_and_scores(tmp_path):
    page = open_page("end_to_end", store(tmp_path / "r", generation("g"), scored("v")))
    assert len(page.get("plotly_chart")) == 2
    assert "more than 1.67 times as fast (Amdahl)" in said(page)
    scores = page.dataframe[1].value
    assert set(scores[scores["level"] == "dimension"]["name"]) == {"Human_Anatomy", "Camera_Motion", "Composition"}
    assert "No run has generated videos" in said(open_page("end_to_end", store(tmp_path / "s", make_run("r"))))


def test_runs_say_how_each_ended_and_what_two_differ_in(tmp_path):
    page = open_page("runs", quickstart(tmp_path / "r"), left="r02", right="r03", one="r11")
    assert "11 ok, 1 oom; 12 shown" in said(page)
    assert "out of memory, 2.1 GB asked" in said(page)
    assert list(page.dataframe[-1].value["key"]) == ["label", "prune.ratio"]
    assert page.code[-1].value == "python -m bench run"
    page.text_input(key="find").set_value("dense")
    assert len(run(page).dataframe[0].value) == 4
    page.text_input(key="find").set_value("(((")
    assert "No run fits" in said(run(page))


def test_a_link_chooses_runs_for_every_page(tmp_path):
    folder = store(tmp_path / "r", *(make_run(f"r{n}", label=f"l{n}") for n in range(9)))
    page = open_page("frames", folder, run=["r7", "r8", "absent"])
    assert page.multiselect(key="runs").value == ["r7", "r8"]
    assert "2 run(s) chosen" in said(page)
    page.button(key="forget chosen").click()
    assert len(run(page).multiselect(key="runs").value) == 3


@pytest.mark.faults
def test_hostile_text_is_inert_on_every_page(tmp_path):
    folder = tmp_path / "r"
    for n, (row, rows) in enumerate((make_run("a"), trained_run("b"), comparison("c"), generation("d"))):
        row |= {"label": HOSTILE, "study": f"{HOSTILE}{n}", "device_name": HOSTILE, "command": HOSTILE}
        row |= {"warnings_json": json.dumps([HOSTILE]), "error": None, "git_sha": HOSTILE}
        for one in rows:
            one["clip"] = one["clip"] and f"{HOSTILE} {one['clip']}"
            one["stage"] = one["stage"] and f"{HOSTILE} {one['stage']}"
        store(folder, (row, rows))
    for name in ("pareto", "ablation", "anatomy", "training", "frames", "end_to_end", "runs"):
        for run_id in "abcd":
            page = open_page(name, folder, run=[run_id])
            for part in (*page.markdown, *page.warning, *page.info, *page.caption, *page.error):
                outside = "".join(part.value.replace("\\`", "").split("`")[::2])
                for letters in ("\\<", "\\[", "\\$", "\\:"):
                    outside = outside.replace(letters, "")
                assert "<" not in outside, (name, part.value[:200])
                assert "](" not in outside
                assert not getattr(part.proto, "allow_html", False)
            for chart in page.get("plotly_chart"):
                for text in texts_of(json.loads(chart.proto.spec)):
                    assert not re.search(r"<(?!/?b>|br>)", text), (name, text[:200])


def test_foreign_files_are_named_and_break_nothing(tmp_path):
    folder = store(tmp_path / "r", make_run("good"))
    pd.DataFrame({"x": ["<b>"]}).to_parquet(folder / "runs" / "foreign.parquet")
    (folder / "packed").mkdir()
    pd.DataFrame({"run_id": ["x"]}).to_parquet(folder / "packed" / "runs.parquet")
    for name in ("pareto", "runs", "frames", "ablation"):
        page = open_page(name, folder)
        assert "2 file(s) could not be read" in said(page)


def test_a_script_in_data_cannot_end_the_script():
    text = as_script({"name": "</script><!--\u2028"})
    assert "<" not in text
    assert ">" not in text
    assert json.loads(text) == {"name": "</script><!--\u2028"}


def test_long_clips_are_shown_in_part(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(100)]
    for path in paths:
        path.write_bytes(b"x" * 3000)
    assert window_of({"a": paths, "b": paths}, 50) == (0, 100)
    first, count = window_of({"a": paths, "b": paths}, 50, most_bytes=80_000)
    assert (first, count) == (45, 10)
    assert window_of({"a": paths}, 99, most_bytes=1) == (99, 1)


def test_votes_go_only_where_the_user_says(tmp_path):
    (tmp_path / "results" / "inner").mkdir(parents=True)
    (tmp_path / "votes").mkdir()
    roots = [tmp_path / "results"]
    assert votes_file("", roots) is None
    assert votes_file(str(tmp_path / "absent"), roots) is None
    assert votes_file(str(tmp_path / "results" / "inner"), roots) is None
    path = votes_file(str(tmp_path / "votes"), roots)
    assert path == tmp_path / "votes" / "votes.jsonl"
    record(path, "a\nb", "<b>", "clip", "a\nb")
    with path.open("a") as file:
        file.write("not json\n[1]\n{}\n")
    assert read_votes(path)["first"].to_list() == ["a\nb"]


def test_the_summary_is_kept_outside_the_results_and_made_again_when_they_change(tmp_path, monkeypatch):
    folder = store(tmp_path / "r", make_run("a"), make_run("b", status="oom", error="memory"))
    first = cache.digest([str(folder)], "stamp 1")
    kept = list((tmp_path / "cache").rglob("summary.parquet"))
    assert len(kept) == 1
    monkeypatch.setattr(cache, "_compute", lambda folders: pytest.fail("computed again"))
    second = cache.digest([str(folder)], "stamp 1")
    pd.testing.assert_frame_equal(first.summary, second.summary, check_dtype=False)
    pd.testing.assert_frame_equal(first.runs, second.runs, check_dtype=False)
    assert (first.columns, first.places, first.problems) == (second.columns, second.places, second.problems)
    with pytest.raises(pytest.fail.Exception):
        cache.digest([str(folder)], "stamp 2")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept[0].write_bytes(b"torn")
    assert len(cache.digest([str(folder)], "stamp 1").summary) == 2


def test_every_download_has_the_tables_rows(tmp_path):
    from bench.analysis.export import parquet_bytes
    from dashboard.data import csv_bytes

    table = open_page("pareto", quickstart(tmp_path / "r")).dataframe[0].value
    assert (
        len(pd.read_csv(io.BytesIO(csv_bytes(table)))) == len(pd.read_parquet(io.BytesIO(parquet_bytes(table)))) == 11
    )
