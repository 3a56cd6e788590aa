"""The study's table says what was measured, what failed and what is missing, once each."""

from __future__ import annotations

import json

import pytest

from bench import analysis
from bench.analysis import table, units
from tests.synthetic_results import make_run, quickstart, store


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    return analysis.summarise(analysis.load(quickstart(tmp_path_factory.mktemp("results"))))


def line_of(text: str, label: str) -> str:
    lines = [line for line in text.splitlines() if line[2:].startswith(f"{label}  ")]
    assert len(lines) == 1, lines
    return lines[0]


def test_text_shows_every_variant_with_its_numbers(summary):
    text = table.render_text(summary)
    line = line_of(text, "paper 1/2")
    for piece in ("3.60 [", "28.60", "32.60", "0.7150", "0.800", "556 K", "2.22 G"):
        assert piece in line
    assert text.count("quickstart") == 1
    assert "teacher: " in text
    assert "30.00 dB" in text


def test_stars_mark_the_front_and_nothing_else(summary):
    text = table.render_text(summary)
    starred = {line[2:].split("  ")[0] for line in text.splitlines() if line.startswith("* ") and "  " in line}
    assert starred == {"teacher", "2D only", "dense 1/2", "paper 1/1", "paper 1/2", "paper 1/4", "paper 1/8"}


def test_slowest_first(summary):
    speeds = [row["speedup"] for row in next(table.blocks(summary)).rows]
    assert speeds == sorted(speeds)
    assert len(speeds) == 11


def test_failures_and_missing_metrics_are_said_once(summary):
    text = table.render_text(summary)
    assert text.count("dense 1/16") == 1
    assert "dense 1/16 failed (oom): out of memory, 2.1 GB asked" in text
    assert text.count("lpips unavailable: no AlexNet weights; run: fetch them") == 1
    assert "LPIPS" not in text, "a metric without numbers has no column"


def test_text_fits_a_terminal_of_120_columns(summary):
    assert max(map(len, table.render_text(summary).splitlines())) <= 120


def test_markdown_has_one_cell_per_heading(summary):
    rows = [line for line in table.render_markdown(summary).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 11
    assert len({line.count("|") for line in rows}) == 1


def test_json_is_strict_and_complete(summary):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    (block,) = json.loads(table.to_json(summary), parse_constant=refuse)
    assert [row["label"] for row in block["failed"]] == ["dense 1/16"]
    assert len(block["rows"]) == 11
    assert block["rows"][0]["label"] == "teacher"
    assert block["rows"][0]["psnr_source"] == pytest.approx(30.0)
    assert block["unavailable"] == {"lpips": "no AlexNet weights; run: fetch them"}


def test_one_study_can_be_chosen_and_an_unknown_one_is_refused(tmp_path):
    folder = store(tmp_path, make_run("a", study="first"), make_run("b", study="second"))
    summary = analysis.summarise(analysis.load(folder))
    assert "second" not in table.render_text(summary, "first")
    for render in (table.render_text, table.render_markdown, table.to_json):
        with pytest.raises(ValueError, match="'third' is stored; stored studies: first, second"):
            render(summary, "third")


def test_devices_and_protocols_get_tables_of_their_own(tmp_path):
    folder = store(
        tmp_path,
        make_run("a", label="slow", speedup=1.5, psnr=20.0),
        make_run("b", label="fast", device_id="gpu"),
        make_run("c", label="other", protocol_id="p2"),
    )
    text = table.render_text(analysis.summarise(analysis.load(folder)))
    assert text.count("protocol p1") == 2
    assert text.count("protocol p2") == 1
    assert line_of(text, "slow").startswith("*"), "alone in its table, it is on that front"


def test_unreadable_clips_are_said(tmp_path):
    row, rows = make_run("r")
    rows.append(dict(rows[-1], metric="psnr", clip="broken", note="cannot be decoded"))
    text = table.render_text(analysis.summarise(analysis.load(store(tmp_path, (row, rows)))))
    assert "r: 1 of 3 clips gave no number" in text


def test_nothing_stored_says_how_to_start(tmp_path):
    summary = analysis.summarise(analysis.load(store(tmp_path)))
    assert "python -m bench multirun" in table.render_text(summary)
    assert json.loads(table.to_json(summary)) == []


def test_only_failures_still_make_a_table(tmp_path):
    summary = analysis.summarise(analysis.load(store(tmp_path, make_run("r", status="timeout", error="too slow"))))
    assert "r failed (timeout): too slow" in table.render_text(summary)
    assert "too slow" in table.render_markdown(summary)


def test_stored_text_cannot_break_the_table_or_the_terminal(tmp_path):
    label = "a|b\n<script>alert(1)</script>\x1b[31m `x`"
    summary = analysis.summarise(analysis.load(store(tmp_path, make_run("r", label=label))))
    assert "\x1b" not in table.render_text(summary)
    assert "a|b <script>" in table.render_text(summary)
    markdown = table.render_markdown(summary)
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert "<script>" not in markdown
    assert len({row.count("|") - row.count("\\|") for row in rows}) == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0, "0"), (7, "7"), (999, "999"), (999.9, "1.00 K"), (5_859_723, "5.86 M"), (812_345, "812 K"),
     (60.3e9, "60.3 G"), (1.7e12, "1.70 T"), (73_295_331, "73.3 M"), (0.25, "0.250"), (2e6, "2.00 M"), (12.34, "12.3"),
     (float("inf"), "inf")],
)  # fmt: skip
def test_short_numbers(value, shown):
    assert units.short(value) == shown


def test_other_numbers():
    assert units.number(29.314, 2) == "29.31"
    assert units.number(None, 2) == "-"
    assert units.number("inf", 2) == "inf"
    assert units.interval(3.612, 3.551, 3.7) == "3.61 [3.55, 3.70]"
    assert units.interval(3.612, None, None) == "3.61"
    assert units.interval(None, None, None) == "-"
