"""The interactive figure shows every point, and stored text stays text in it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from bench import analysis
from bench.analysis.figures import FADED, pareto_figure
from bench.analysis.points import TEACHER_COLOUR, pareto_points, plan_colours
from tests.synthetic_results import make_run, quickstart, store

HOSTILE = "<img src=x onerror=alert(1)> & %{x} <a href='http://x'>x</a>\x00\x1b"


def summary_of(folder, *runs):
    return analysis.summarise(analysis.load(store(folder, *runs)))


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    return analysis.summarise(analysis.load(quickstart(tmp_path_factory.mktemp("results"))))


def traces(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def test_every_finished_run_is_drawn_once(summary):
    drawn = [x for trace in pareto_figure(summary).data if trace.name in set(summary["plan"]) for x in trace.x]
    assert sorted(drawn) == sorted(summary["speedup"].dropna())


def test_the_front_is_strong_and_the_rest_faded(summary):
    figure = pareto_figure(summary)
    front, beaten = traces(figure, "dense")
    assert (front.opacity, beaten.opacity) == (1.0, FADED)
    assert list(front.text) == ["dense 1/2"]
    assert len(beaten.x) == 2
    (line,) = traces(figure, "front")
    assert list(line.x) == sorted(line.x)
    assert len(line.x) == 7


def test_one_legend_entry_per_plan(summary):
    named = [trace.name for trace in pareto_figure(summary).data if trace.showlegend is not False]
    assert len(named) == len(set(named))
    assert {"dense", "paper", "spatial2d", "front"} <= set(named)


def test_interval_bars_reach_from_low_to_high(summary):
    (trace,) = traces(pareto_figure(summary), "spatial2d")
    row = summary[summary["plan"] == "spatial2d"].iloc[0]
    assert trace.x[0] + trace.error_x.array[0] == pytest.approx(row["speedup_high"])
    assert trace.x[0] - trace.error_x.arrayminus[0] == pytest.approx(row["speedup_low"])
    assert np.isnan(traces(pareto_figure(summary, x="parameters"), "spatial2d")[0].error_x.array[0])


def test_the_hover_card_says_what_was_done(summary):
    (trace,) = traces(pareto_figure(summary), "spatial2d")
    for piece in ("<b>2D only</b>", "PSNR against source: 29.8 dB", "up2 up3 conv2d", "Criterion: independence",
                  "Phases: joint", "Parameters: 1.18 M", "MACs per frame: 4.71 G", "1.70 ["):  # fmt: skip
        assert piece in trace.hovertext[0]


def test_the_teacher_stands_where_it_was_measured(summary):
    assert pareto_points(summary, "speedup", "psnr_source").teacher == (1.0, pytest.approx(30.0))
    assert pareto_points(summary, "parameters", "psnr_source").teacher == (pytest.approx(2e6), pytest.approx(30.0))
    assert pareto_points(summary, "speedup", "psnr_teacher").teacher is None, "it is not compared with itself"


def test_a_plan_keeps_its_colour_when_rows_are_filtered(summary):
    colours = plan_colours(summary["plan"])
    only = pareto_figure(summary[summary["plan"] == "spatial2d"], colours=colours)
    assert traces(only, "spatial2d")[0].marker.color == colours["spatial2d"] != colours["dense"]
    assert colours["teacher"] == TEACHER_COLOUR
    assert len(set(colours.values())) == len(colours)


def test_groups_do_not_share_a_picture(tmp_path):
    summary = summary_of(tmp_path, make_run("a"), make_run("b", device_id="gpu"))
    with pytest.raises(ValueError, match="cannot share one picture"):
        pareto_figure(summary)
    with pytest.raises(ValueError, match="unknown column"):
        pareto_figure(summary, x="mood")


def test_nothing_to_draw_still_draws_axes(summary):
    for rows in (summary[summary["status"] == "oom"], summary.iloc[:0]):
        assert pareto_figure(rows).layout.xaxis.title.text.startswith("Speed-up")


def test_a_quality_nobody_measured_is_an_empty_picture(summary):
    assert len(pareto_points(summary, "speedup", "lpips_source").rows) == 0


def test_an_exact_copy_does_not_flatten_the_others(tmp_path):
    runs = [make_run("same", label="<same>", psnr=96.0), make_run("a", psnr=26.0), make_run("b", psnr=28.0)]
    figure = pareto_figure(summary_of(tmp_path, *runs), y="psnr_teacher")
    low, high = figure.layout.yaxis.range
    assert low < 30.0 < 32.0 < high < 40.0
    assert "identical to the reference: &lt;same&gt;" in figure.layout.annotations[0].text


def test_stored_text_is_inert(tmp_path):
    row, rows = make_run("r", label=HOSTILE, study=HOSTILE)
    row["spec_json"] = row["spec_json"].replace('"plan_name": "paper"', '"plan_name": "<script>x</script>"')
    summary = summary_of(tmp_path, (row, rows), make_run("s", psnr=20.0, label=HOSTILE))
    figure = pareto_figure(summary)
    for trace in figure.data:
        for text in (trace.name, *(trace.text or ()), *(trace.hovertext or ())):
            assert not re.search(r"<(?!b>|/b>|br>)", text), text
        assert trace.hovertemplate is None
        assert trace.texttemplate is None


def test_drawing_does_not_change_the_summary(summary):
    before = summary.copy()
    pareto_figure(summary)
    pd.testing.assert_frame_equal(summary, before)
