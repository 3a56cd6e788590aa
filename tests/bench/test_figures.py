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
