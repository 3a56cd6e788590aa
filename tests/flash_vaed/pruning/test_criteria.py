"""Rankings: independence keeps what rebuilds the rest, copies come last, controls do what their names say."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor

from flash_vaed.pruning import CRITERIA
from flash_vaed.pruning.criteria import Evidence, Reader
from flash_vaed.pruning.criteria.independence import Selection, ranking
from flash_vaed.pruning.criteria.views import View
from flash_vaed.pruning.reconstruction import best_subsets, pca_bound, r2_curve, reconstruction, reconstruction_r2
from flash_vaed.pruning.statistics import Moments


def correlated(channels: int = 24, factors: int = 6, noise: float = 0.05, seed: int = 0) -> Tensor:
    """Covariance of channels that are loud and quiet mixtures of a few factors, plus noise of their own."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, factors, generator=generator, dtype=torch.float64)
    mix *= torch.logspace(-1, 1, channels, dtype=torch.float64)[torch.randperm(channels, generator=generator), None]
    return mix @ mix.T + noise * torch.eye(channels, dtype=torch.float64)


def evidence(
    covariance: Tensor, scaling: str = "total", seed: int = 0, producers: tuple[Tensor, ...] = (),
    weighting: str = "none", sensitivity: Tensor | None = None, readers: tuple[Reader, ...] = (),
    gains: tuple[Tensor, ...] | None = None,
) -> Evidence:  # fmt: skip
    channels = len(covariance)
    moments = Moments(torch.zeros(channels, dtype=torch.float64), covariance, sensitivity)
    known = (torch.linspace(1, 2, channels),) if gains is None else gains
    generator = torch.Generator().manual_seed(seed)
    return Evidence(moments, (moments,), producers, readers, known, scaling, weighting, generator)


def greedy_order(covariance: Tensor) -> list[int]:
    """Greedy selection alone, without exchanges."""
    return ranking([plain(covariance)], covariance.diagonal(), rungs=())


def plain(covariance: Tensor) -> View:
    return View(covariance, torch.eye(len(covariance), dtype=torch.float64))


def kernels(channels: int = 24) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(4)
    return tuple(torch.randn(channels, 3, 3, generator=generator) for _ in range(2))


@pytest.mark.parametrize("scaling", ["total", "mean"])
@pytest.mark.parametrize("name", list(CRITERIA))
def test_every_criterion_ranks_every_channel_once(name, scaling):
    order = CRITERIA.get(name)(evidence(correlated(), scaling, producers=kernels()))
    assert sorted(order) == list(range(24))


@pytest.mark.parametrize("name", list(CRITERIA))
def test_the_same_seed_gives_the_same_ranking(name):
    first, again = (CRITERIA.get(name)(evidence(correlated(), producers=kernels())) for _ in range(2))
    assert first == again


def test_only_lots_depend_on_the_seed():
    def orders(name: str) -> set[tuple[int, ...]]:
        return {tuple(CRITERIA.get(name)(evidence(correlated(), seed=s, producers=kernels()))) for s in range(5)}

    assert {name for name in CRITERIA if len(orders(name)) > 1} == {"random"}


@pytest.mark.parametrize("seed", range(3))
def test_each_step_takes_the_best_addition(seed):
    """Against brute force: the channel that raises the rebuilt variance most. So the first k are the choice at k."""
    covariance = correlated(10, 4, seed=seed)
    order = greedy_order(covariance)
    for k in range(10):
        gains = [reconstruction_r2(covariance, [*order[:k], channel], ridge=0) for channel in order[k:]]
        assert gains[0] == pytest.approx(max(gains), abs=1e-9)


def test_independence_rebuilds_more_than_lots_at_every_width():
    drawn = torch.Generator().manual_seed(7)
    for seed in range(3):
        covariance = correlated(seed=seed)
        order = greedy_order(covariance)
        for k in (2, 4, 6, 12):
            greedy = reconstruction_r2(covariance, order[:k])
            lots = [reconstruction_r2(covariance, torch.randperm(24, generator=drawn).tolist()[:k]) for _ in range(20)]
            assert greedy >= max(lots) - 1e-9
            assert greedy > sum(lots) / len(lots) + 0.005


def test_of_copies_one_is_kept_and_the_others_come_last():
    """Channels 0-4 in three loudnesses each: any five that differ come first."""
    source = correlated(5, 5, noise=0.3)
    scale = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    covariance = torch.kron(torch.outer(scale, scale), source)
    for scaling in ("total", "mean"):
        order = CRITERIA.get("independence")(evidence(covariance, scaling))
        assert {channel % 5 for channel in order[:5]} == set(range(5))
        loudness = covariance.diagonal()[order[5:]]
        assert torch.equal(loudness, loudness.sort(descending=True).values), "copies come by loudness, not by rounding"
        assert reconstruction_r2(covariance, order[:5]) == pytest.approx(1, abs=1e-4)


def test_an_exact_combination_and_a_dead_channel_come_last():
    source = correlated(6, 6, noise=0.5)
    mix = torch.eye(8, 6, dtype=torch.float64)
    mix[6] = torch.tensor([0.5, -1, 2, 0, 0, 1])  # channel 6: of four others; channel 7: always zero
    mix[[3, 7]] = mix[[7, 3]]  # the dead one is channel 3
    covariance = mix @ source @ mix.T
    order = CRITERIA.get("independence")(evidence(covariance))
    assert order[-1] == 3
    assert reconstruction_r2(mix @ source @ mix.T, order[:6]) == pytest.approx(1, abs=1e-4)
    assert torch.linalg.matrix_rank(mix[order[:6]]) == 6


def test_mean_scaling_ignores_loudness_and_total_does_not():
    covariance = correlated(12, 5, noise=0.2)
    loudness = torch.logspace(-2, 2, 12, dtype=torch.float64)
    louder = covariance * torch.outer(loudness, loudness)
    mean, total = (
        [CRITERIA.get("independence")(evidence(c, scaling)) for c in (covariance, louder)]
        for scaling in ("mean", "total")
    )
    assert mean[0] == mean[1]
    assert total[0] != total[1]


def test_magnitude_ranks_by_the_norm_of_the_rows():
    rows = torch.tensor([0.1, 3.0, 2.0, 0.5])
    kernel = rows.view(4, 1, 1) * torch.ones(4, 2, 9)
    assert CRITERIA.get("magnitude")(evidence(torch.eye(4), producers=(kernel,))) == [1, 2, 3, 0]


def test_magnitude_weighs_every_producer_alike():
    """A kernel a thousand times larger does not decide alone."""
    loud = torch.tensor([1000.0, 1000, 1000, 1010]).view(4, 1)
    quiet = torch.tensor([4.0, 3, 2, 1]).view(4, 1)
    assert CRITERIA.get("magnitude")(evidence(torch.eye(4), producers=(loud, quiet))) == [0, 1, 2, 3]


def test_all_channels_rebuild_everything():
    covariance = correlated()
    assert reconstruction_r2(covariance, list(range(24))) == pytest.approx(1, abs=1e-12)
    assert torch.equal(reconstruction(covariance, list(range(24))), torch.eye(24, dtype=torch.float64))


def test_kept_channels_stay_themselves():
    kept = [3, 17, 4]
    weights = reconstruction(correlated(), kept)
    assert weights.shape == (3, 24)
    assert torch.equal(weights[:, kept], torch.eye(3, dtype=torch.float64))


def test_reconstruction_is_the_least_squares_map():
    rows = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = rows @ torch.randn(6, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = x - x.mean(dim=0)
    kept = [0, 4, 9]
    best = torch.linalg.lstsq(x[:, kept], x).solution
    torch.testing.assert_close(reconstruction(x.T.cov(correction=0), kept, ridge=1e-12), best, atol=1e-6, rtol=1e-6)
    missed = (x - x[:, kept] @ best).square().sum() / x.square().sum()
    assert reconstruction_r2(x.T.cov(correction=0), kept) == pytest.approx(1 - missed.item(), abs=1e-4)


# --- exchanges


@pytest.mark.parametrize("seed", range(6))
def test_exchanges_never_lose_at_the_first_rung_and_keep_the_order_nested(seed):
    """Later rungs keep what the first chose, so there plain greedy selection may be better by a little."""
    covariance = correlated(24, 10, noise=0.02, seed=seed)
    order = ranking([plain(covariance)], covariance.diagonal())
    greedy = greedy_order(covariance)
    assert sorted(order) == list(range(24))
    first = 3  # an eighth: the first rung starts from nothing, like greedy selection
    assert reconstruction_r2(covariance, order[:first], 0) >= reconstruction_r2(covariance, greedy[:first], 0) - 1e-9


def test_an_exchange_mends_a_greedy_mistake():
    """Channel 0 is the best single one, but a and b together rebuild it, and the rest, better than any pair with it."""
    generator = torch.Generator().manual_seed(0)
    gains = []
    for _ in range(40):
        mix = torch.randn(16, 3, generator=generator, dtype=torch.float64)
        covariance = mix @ mix.T + 0.01 * torch.eye(16, dtype=torch.float64)
        exchanged, greedy = ranking([plain(covariance)], covariance.diagonal())[:2], greedy_order(covariance)[:2]
        gains.append(reconstruction_r2(covariance, exchanged, 0) - reconstruction_r2(covariance, greedy, 0))
    assert min(gains) > -1e-9
    assert max(gains) > 0.01


@pytest.mark.parametrize("seed", range(4))
def test_where_a_rung_rebuilds_all_no_exchange_is_made_for_rounding(seed):
    """Three sources, each eight times: an exchange could gain no more than rounding, and would lose the loudest."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    scale = torch.randn(8, generator=generator, dtype=torch.float64).exp()
    covariance = torch.kron(torch.outer(scale, scale), source @ source.T)
    loudest = int(scale.argmax())
    assert {*ranking([plain(covariance)], covariance.diagonal())[:3]} == {3 * loudest + i for i in range(3)}


def test_gains_are_what_a_channel_takes_off_the_error_of_all_views_also_after_an_exchange():
    views = [View(correlated(10, 5, seed=s), correlated(10, 4, seed=s + 8)) for s in range(2)]

    def error(kept: list[int]) -> float:
        rest = [v.covariance - v.covariance[:, kept] @ reconstruction(v.covariance, kept, ridge=0) for v in views]
        return sum(float((v.metric * r).sum()) for v, r in zip(views, rest, strict=True))

    selection = Selection(views)
    for channel in (1, 4, 7):
        selection.add(channel)
    selection = selection.replaced(1, 9)
    assert selection.error() == pytest.approx(error([1, 9, 7]), rel=1e-9)
    for channel in (0, 4, 8):
        expected = error([1, 9, 7]) - error([1, 9, 7, channel])
        assert selection.gains()[channel].item() == pytest.approx(expected, rel=1e-6)


def test_the_gain_of_an_exchange_is_what_it_takes_off_the_error():
    covariance = correlated(10, 5, seed=3)
    metric = correlated(10, 4, seed=8)
    selection = Selection([View(covariance, metric)])
    for channel in (1, 4, 7):
        selection.add(channel)
    drops, before = selection.exchanges(settled=1), selection.error()
    for position in (1, 2):
        for channel in (0, 2, 9):
            other = Selection([View(covariance, metric)])
            for one in [c for i, c in enumerate((1, 4, 7)) if i != position] + [channel]:
                other.add(one)
            assert drops[position - 1, channel].item() == pytest.approx(before - other.error(), rel=1e-6, abs=1e-9)


# --- whose error counts


def test_output_weighting_keeps_what_the_frames_depend_on_however_quiet():
    covariance = torch.diag(torch.tensor([100.0, 50, 1, 25], dtype=torch.float64))
    sensitivity = torch.diag(torch.tensor([1e-4, 1e-4, 10, 1e-4], dtype=torch.float64))
    plain_order, weighted = (
        CRITERIA.get("independence")(evidence(covariance, weighting=weighting, sensitivity=sensitivity))
        for weighting in ("none", "output")
    )
    assert plain_order == [0, 1, 3, 2]
    assert weighted == [2, 0, 1, 3]


def test_next_weighting_keeps_what_the_next_kernel_reads():
    covariance = torch.diag(torch.tensor([4.0, 3, 2, 1], dtype=torch.float64))
    kernel = torch.tensor([[0.0, 0.0, 0.1, 5.0], [0.0, 0.1, 0.0, -5.0]])
    reader = Reader(Moments(torch.zeros(4, dtype=torch.float64), covariance), kernel)
    assert CRITERIA.get("independence")(evidence(covariance, weighting="next", readers=(reader,)))[0] == 3


def test_what_a_weighting_needs_and_lacks_is_said():
    covariance = correlated()
    with pytest.raises(ValueError, match="weighting=output needs; calibrate again"):
        CRITERIA.get("independence")(evidence(covariance, weighting="output"))
    with pytest.raises(ValueError, match="use weighting=none"):
        CRITERIA.get("independence")(evidence(covariance, weighting="next"))
    with pytest.raises(ValueError, match="no norm with gains reads this site"):
        CRITERIA.get("scale")(evidence(covariance, gains=()))


# --- the other criteria, and the bound


def test_scale_follows_the_gains_and_activation_the_mean_square():
    gains = (torch.tensor([0.1, -3.0, 1.0]), torch.tensor([0.2, 5.0, 2.0]))
    assert CRITERIA.get("scale")(evidence(torch.eye(3, dtype=torch.float64), gains=gains)) == [1, 2, 0]
    loud = torch.diag(torch.tensor([1.0, 9, 4], dtype=torch.float64))
    assert CRITERIA.get("activation")(evidence(loud)) == [1, 2, 0]


def test_l1_and_l2_disagree_about_spread_and_peak():
    kernel = torch.tensor([[3.0, 0, 0, 0], [1.0, 1, 1, 1], [0.1, 0, 0, 0]])
    assert CRITERIA.get("magnitude")(evidence(torch.eye(3, dtype=torch.float64), producers=(kernel,))) == [0, 1, 2]
    assert CRITERIA.get("magnitude_l1")(evidence(torch.eye(3, dtype=torch.float64), producers=(kernel,))) == [1, 0, 2]


def test_no_subset_beats_the_bound():
    covariance = correlated(8, 4, seed=2)
    for width in (1, 2, 3, 5):
        best = max(reconstruction_r2(covariance, list(kept), 0) for kept in combinations(range(8), width))
        assert best <= pca_bound(covariance, width) + 1e-9
    assert pca_bound(covariance, 8) == pytest.approx(1)


def test_the_best_of_all_choices_is_found_by_trying_them():
    covariance = correlated(8, 3, noise=0.5)
    tried = {
        width: max(reconstruction_r2(covariance, list(c), ridge=1e-12) for c in combinations(range(8), width))
        for width in (1, 2)
    }
    assert best_subsets(covariance, most=28) == pytest.approx(tried), "of three there are 56, more than asked for"
    assert set(best_subsets(covariance)) == {1, 2, 3, 4}


def test_the_curve_is_the_share_at_every_width():
    covariance = correlated()
    order = greedy_order(covariance)
    expected = [reconstruction_r2(covariance, order[:k], ridge=0) for k in range(1, 25)]
    torch.testing.assert_close(
        r2_curve(covariance, order), torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0
    )


def test_a_silent_site_has_nothing_to_rebuild():
    silent = torch.zeros(4, 4, dtype=torch.float64)
    assert reconstruction_r2(silent, [0, 2]) == 0
    assert torch.equal(r2_curve(silent, [3, 2, 1, 0]), torch.zeros(4, dtype=torch.float64))
    assert torch.equal(reconstruction(silent, [0, 2])[:, [1, 3]], torch.zeros(2, 2, dtype=torch.float64))
