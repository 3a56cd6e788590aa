"""Figures are found by their file's name, read only their own studies, and say what makes their data."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from bench.analysis import paper
from bench.analysis.results import Results


def test_a_figure_is_a_file():
    known = paper.all_figures()
    assert list(known) == sorted(known)
    assert {"reconstruction", "speed_quality", "end_to_end", "vbench2", "frames"} <= set(known)
    for name, figure in known.items():
        assert figure.studies or figure.missing, name
        assert figure.title.endswith("."), name


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(ValueError, match="did you mean 'roofline'"):
        paper.find_figure("rooflines")
    with pytest.raises(ValueError, match="known: criteria"):
        paper.find_figure("zzz")


def test_only_finished_runs_of_the_studies_are_read(material):
    runs = material.results.runs.assign(
        status=material.results.runs["study"].map(lambda s: "oom" if s == "peers" else "ok")
    )
    some = dataclasses.replace(material, results=Results(runs, material.results.measurements))
    assert set(some.of(["peers", "scaling"]).runs["study"]) == {"scaling"}
    assert set(dataclasses.replace(some, study="roofline").of(["scaling"]).runs["study"]) == {"roofline"}


@pytest.mark.parametrize("name", paper.all_figures())
def test_nothing_stored_is_no_rows_and_one_line(name):
    empty = Results(*(pd.DataFrame(columns=columns) for columns in _columns()))
    nothing, figure = paper.Material(empty), paper.find_figure(name)
    assert figure.numbers(nothing).empty
    line = paper.missing(figure, nothing)
    assert "\n" not in line
    if figure.studies and not figure.missing:
        assert line == f"no stored run; python -m bench multirun ablations={figure.studies[0]} makes them"


def test_a_chosen_study_is_named_where_it_has_nothing(material):
    line = paper.missing(paper.find_figure("scaling"), dataclasses.replace(material, study="mine"))
    assert "study 'mine'" in line


def _columns():
    from bench.records.schema import MEASUREMENTS, RUNS

    return RUNS.names, MEASUREMENTS.names
