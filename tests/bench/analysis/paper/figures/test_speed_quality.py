"""The scatter shows the dashboard's points."""

from __future__ import annotations

import dataclasses

import pytest

from bench.analysis.paper.figures.speed_quality import numbers
from bench.analysis.points import pareto_points
from bench.analysis.summary import summarise


def test_the_points_are_those_of_the_dashboard(material):
    frame = numbers(material)
    summary = summarise(material.of(["quickstart"]))
    points = pareto_points(summary, "speedup", "psnr_source")
    ours = frame[~frame["timed_beside"]]
    assert list(ours["x"]) == list(points.rows["speedup"])
    assert list(ours["y"]) == list(points.rows["psnr_source"])
    assert list(ours["x_low"]) == list(points.low)
    assert list(ours["on_front"]) == [True, True]
    (beside,) = frame[frame["timed_beside"]].to_dict("records")
    assert (beside["x"], beside["y"]) == (1.0, pytest.approx(30.0))


def test_other_axes_can_be_chosen(material):
    frame = numbers(dataclasses.replace(material, x="parameters", y="ssim_source"))
    assert frame["x_title"].unique() == ["Parameters"]
    assert frame[frame["label"] == "paper-1/2"]["y"].item() == pytest.approx(28 / 40)
    with pytest.raises(ValueError, match="unknown column"):
        numbers(dataclasses.replace(material, x="mood"))
