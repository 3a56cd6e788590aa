"""The redundancy task: a curve per site and ranking, none above the bound, all of them ending at one."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from bench.tasks.redundancy import BEST, BOUND, redundancy
from flash_vaed.pruning import calibrate
from flash_vaed.pruning.anatomy import anatomy
from tests.bench.examples import SPEC
from tests.flash_vaed.examples import random_decoder, random_latents, tiny_spec


@pytest.fixture(scope="module")
def curves() -> pd.DataFrame:
    decoder = random_decoder(tiny_spec(4, blocks=1))
    statistics = calibrate(decoder, [random_latents(3, 4, 4)])
    bench = SimpleNamespace(
        run_id="r", spec=SPEC, teacher=SimpleNamespace(decoder=decoder), statistics=lambda: statistics,
        say=lambda text: None,
    )  # fmt: skip
    rows = pd.DataFrame(list(redundancy(bench)))
    assert set(rows["stage"]) == set(anatomy(decoder).sites)
    rows = rows[rows["arm"] != "scale"]  # a site that no norm reads has no such ranking
    return rows.pivot_table(index=["stage", "repeat"], columns="arm", values="value")


def test_no_ranking_beats_the_bound(curves):
    rankings = curves.drop(columns=[BOUND, BEST])
    assert {"independence, none", "independence, output", "magnitude", "random, seed 2"} <= set(rankings)
    assert (rankings.sub(curves[BOUND], axis=0) < 1e-6).all().all()


def test_no_ranking_beats_the_best_of_all_choices_which_does_not_beat_the_bound(curves):
    tried = curves[curves[BEST].notna()]
    assert len(tried) >= len(curves.index.unique("stage"))
    assert (tried.drop(columns=[BOUND, BEST]).sub(tried[BEST], axis=0) < 1e-6).all().all()
    assert (tried[BEST] <= tried[BOUND] + 1e-9).all()


def test_curves_rise_to_one(curves):
    for _, curve in curves.drop(columns=BEST).groupby(level="stage"):
        assert (curve.diff().dropna() > -1e-9).all().all()
        assert (curve.iloc[-1] > 1 - 1e-6).all()


def test_independence_is_nearest_to_the_bound_on_average(curves):
    mean = curves.mean()
    assert mean["independence, none"] == mean.drop([BOUND, BEST]).max()
