"""The figures verb: files per figure, one line for what is missing, and the pictures of the docs."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from bench.records import write_frames
from bench.verbs import figures
from tests import synthetic_paper, synthetic_results


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return synthetic_paper.everything(tmp_path_factory.mktemp("figures") / "results")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_named_figure_becomes_its_files(everything, tmp_path, capsys):
    assert figures.main(["scaling", "--results", str(everything), "--out", str(tmp_path / "out")]) == 0
    assert names(tmp_path / "out") == ["scaling.csv", "scaling.pdf", "scaling.png", "scaling.tex"]
    assert str(tmp_path / "out" / "scaling.pdf") in capsys.readouterr().out


def test_what_is_missing_is_one_line_each_and_the_others_are_made(tmp_path, capsys):
    synthetic_results.quickstart(tmp_path / "results")
    assert figures.main(["--results", str(tmp_path / "results"), "--out", str(tmp_path / "out")]) == 0
    assert {"speed_quality.pdf", "speed_quality.tex"} <= set(names(tmp_path / "out"))
    lines = capsys.readouterr().err.splitlines()
    assert "end_to_end: no stored run; python -m bench multirun ablations=end_to_end makes them" in lines
    assert "phases: no stored run; python -m bench multirun ablations=distill_phases makes them" in lines
    assert not any(line.startswith("speed_quality:") for line in lines)


def test_a_named_figure_without_data_is_exit_code_1(tmp_path, capsys):
    synthetic_results.quickstart(tmp_path / "results")
    given = ["roofline", "speed_quality", "--results", str(tmp_path / "results"), "--out", str(tmp_path / "out")]
    assert figures.main(given) == 1
    assert "speed_quality.csv" in names(tmp_path / "out"), "the other is made all the same"
    assert capsys.readouterr().err.startswith("roofline: no stored run; ")


def test_a_figure_that_cannot_be_made_does_not_stop_the_others(tmp_path, capsys):
    runs = [synthetic_paper.trained(f"ph{n}", "distill_phases", 25.0, 30.0, protocol_id=f"p{n}") for n in range(2)]
    synthetic_results.store(tmp_path / "results", synthetic_results.make_run("q0"), *runs)
    given = ["--results", str(tmp_path / "results"), "--out", str(tmp_path / "out"), "--x", "mood"]
    assert figures.main(given) == 0
    assert "speed_quality: unknown column 'mood'" in capsys.readouterr().err
    assert "phases.csv" in names(tmp_path / "out")


def test_an_unknown_name_stops_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'roofline'"):
        figures.main(["rofline", "--results", str(tmp_path)])


def test_nothing_stored_is_no_error_and_no_file(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert figures.main(["--results", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out").exists()
    assert "multirun" in capsys.readouterr().err


def test_the_docs_pictures_keep_their_names(everything, tmp_path):
    assert figures.main(["--docs", "--results", str(everything), "--out", str(tmp_path / "docs")]) == 0
    assert names(tmp_path / "docs") == sorted(f"{name}.svg" for name in figures.DOCS)
    for picture in (tmp_path / "docs").iterdir():
        assert ET.parse(picture).getroot().tag.endswith("svg")


def test_frames_beside_the_results_are_found(everything, tmp_path):
    results = shutil.copytree(everything, tmp_path / "results")
    write_frames(results, "q0", "clip", "source", np.zeros((2, 8, 8, 3), np.uint8))
    assert figures.main(["frames", "--results", str(results), "--out", str(tmp_path / "out")]) == 0
    assert "frames.png" in names(tmp_path / "out")
