"""What a command says and returns, by how its runs ended, whoever did them."""

from __future__ import annotations

import pytest

from bench import launch as module
from bench.__main__ import main
from bench.launch import launch, prepare
from bench.launchers import Launcher
from bench.launchers.base import lost
from bench.study import Point
from bench.sweep import SUBMITTED, Done, perform
from tests.bench.sweep_targets import measure

POINTS = [Point(f"seed={seed}", "", ("study.name=s", f"seed={seed}", "device=cpu")) for seed in range(2)]


@pytest.fixture
def ended(monkeypatch, tmp_path):
    """Lets every run end in a given way."""
    monkeypatch.chdir(tmp_path)

    def by(end):
        class Given(Launcher):
            def launch(self, requests, watch, target=measure):
                return (end(request) for request in requests)

        given = Given()
        monkeypatch.setattr(module, "to_launcher", lambda config: given)
        return launch("multirun", POINTS, [])

    return by


def test_runs_that_wait_in_a_queue_are_counted_and_nothing_is_claimed_of_them(ended, capsys):
    assert ended(lambda request: Done(request, "", SUBMITTED, None, 0.0, "")) == 0
    shown = capsys.readouterr()
    assert "2 of 2 runs are in the queue; the same command collects them" in shown.err
    assert shown.out == ""


def test_runs_that_were_lost_are_failures_with_their_reason(ended, capsys):
    assert ended(lambda request: lost(request, "its node burnt down")) == 1
    assert capsys.readouterr().err.count("crashed, its node burnt down") == 2


def test_what_is_stored_is_shown_beside_what_still_waits(ended, capsys):
    def end(request):
        if request.spec.seed:
            return Done(request, "", SUBMITTED, None, 0.0, "")
        return perform(request, lambda *said: None, measure)

    assert ended(end) == 0
    shown = capsys.readouterr()
    assert "Results: results/local" in shown.out
    assert "1 of 2 runs are in the queue" in shown.err


def test_a_launcher_is_one_for_all_points():
    points = [Point("a", "a", ("launcher=joblib",)), Point("b", "b", ("seed=1",))]
    with pytest.raises(ValueError, match="launcher is one for all points"):
        prepare("multirun", points, [])


def test_results_may_be_an_address_which_keeps_no_pictures():
    address = "paths.results=s3://bucket/results"
    (prepared,), _ = prepare("run", [Point("", "", ("study.name=single", address))], [])
    assert prepared.request.results == "s3://bucket/results"
    with pytest.raises(ValueError, match="pictures=2 needs a results folder"):
        prepare("run", [Point("", "", ("study.name=single", address, "pictures=2"))], [])


@pytest.mark.parametrize("several", ["launcher=joblib,ray", "launcher.n_jobs=1,2"])
def test_a_launcher_is_no_axis(several, capsys):
    assert main(["multirun", "--show", "launcher=joblib", several]) == 2
    assert "takes one value" in capsys.readouterr().err
