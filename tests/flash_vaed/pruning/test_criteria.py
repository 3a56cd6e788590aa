"""Rankings: independence keeps what rebuilds the rest, copies come last, controls do what their names say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from flash_vaed.pruning import CRITERIA
from flash_vaed.pruning.criteria import Evidence
from flash_vaed.pruning.criteria.independence import greedy_order
from flash_vaed.pruning.reconstruction import reconstruction, reconstruction_r2
from flash_vaed.pruning.statistics import Moments


def correlated(channels: int = 24, factors: int = 6, noise: float = 0.05, seed: int = 0) -> Tensor:
    """Covariance of channels that are loud and quiet mixtures of a few factors, plus noise of their own."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, factors, generator=generator, dtype=torch.float64)
    mix *= torch.logspace(-1, 1, channels, dtype=torch.float64)[torch.randperm(channels, generator=generator), None]
    return mix @ mix.T + noise * torch.eye(channels, dtype=torch.float64)


def evidence(covariance: Tensor, scaling: str = "total", seed: int = 0, producers: tuple[Tensor, ...] = ()) -> Evidence:
    moments = Moments(torch.zeros(len(covariance), dtype=torch.float64), covariance)
    return Evidence(moments, producers, scaling, torch.Generator().manual_seed(seed))


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
    order = greedy_order(mix @ source @ mix.T)
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
