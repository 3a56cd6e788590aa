"""The figures verb: one picture per group of comparable runs, none outside its folder."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from bench.verbs import figures
from tests import synthetic_results


def test_a_study_becomes_one_svg(tmp_path, capsys):
    synthetic_results.quickstart(tmp_path / "results")
    assert figures.main(["--results", str(tmp_path / "results"), "--out", str(tmp_path / "out")]) == 0
    (picture,) = (tmp_path / "out").iterdir()
    assert picture.name == "quickstart.svg"
    assert ET.parse(picture).getroot().tag.endswith("svg")
    assert str(picture) in capsys.readouterr().out


def test_a_stored_name_cannot_leave_the_folder(tmp_path):
    run, rows = synthetic_results.make_run("run-1")
    synthetic_results.store(tmp_path / "results", ({**run, "study": "../../escape"}, rows))
    figures.main(["--results", str(tmp_path / "results"), "--out", str(tmp_path / "out" / "deep")])
    assert len(list((tmp_path / "out" / "deep").iterdir())) == 1
    assert not list(tmp_path.glob("*.svg"))


def test_nothing_to_draw_is_one_clear_line(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="multirun"):
        figures.main(["--results", str(tmp_path / "empty"), "--out", str(tmp_path)])


def test_a_run_of_the_redundancy_task_becomes_a_panel_of_curves_per_site(tmp_path):
    run, rows = synthetic_results.make_run("run-1")
    curves = [
        {**rows[0], "metric": "r2_of_width", "arm": arm, "stage": site, "repeat": width, "value": width / 4}
        for arm in ("pca", "independence, none", "random, seed 0", "random, seed 1")
        for site in ("up2.stream", "<up3>.stream")
        for width in range(1, 5)
    ]
    synthetic_results.store(tmp_path / "results", (run, curves))
    assert figures.main(["--results", str(tmp_path / "results"), "--out", str(tmp_path / "out")]) == 0
    (picture,) = (tmp_path / "out").iterdir()
    root = ET.parse(picture).getroot()
    texts = [element.text for element in root.findall(".//{*}text")]
    assert {"up2.stream, 4 channels", "<up3>.stream, 4 channels", "independence", "bound (PCA)"} <= set(texts)
    assert len(root.findall(".//{*}polyline")) == 2 * 3, "a curve per site and ranking, lots averaged"


def test_a_study_that_was_not_timed_is_named_and_not_drawn(tmp_path, capsys):
    run, rows = synthetic_results.make_run("run-1")
    untimed = [row for row in rows if row["metric"] != "decode_time_s"]
    synthetic_results.store(tmp_path / "results", (run, untimed))
    assert figures.main(["--results", str(tmp_path / "results"), "--out", str(tmp_path / "out")]) == 0
    assert not list((tmp_path / "out").iterdir())
    assert "left out: no run of study 'quickstart' has both speedup and psnr_source" in capsys.readouterr().err
