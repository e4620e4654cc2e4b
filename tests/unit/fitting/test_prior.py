"""The mixture prior over iterations: what it keeps, how much it counts for, and that it can be put back."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError
from mbpl_control.fitting.prior import MixturePrior, PriorOptions


def trials(count: int, seed: int, steps: int = 20, size: int = 5) -> np.ndarray:
    """Random walks (N, T, D)."""
    return np.cumsum(np.random.default_rng(seed).normal(size=(count, steps, size)), axis=1)


def test_responsibilities_are_of_the_new_trials_and_sum_to_one() -> None:
    prior = MixturePrior(PriorOptions(clusters=4, points_per_cluster=10))
    prior.update(trials(4, seed=0))
    shares = prior.update(trials(3, seed=1))
    assert shares.shape == (3, 20, 4)
    np.testing.assert_allclose(shares.sum(axis=2), 1.0, rtol=1e-12)


def test_it_keeps_the_latest_trials_of_its_window() -> None:
    prior = MixturePrior(PriorOptions(window=6))
    batches = [trials(4, seed) for seed in range(3)]
    for batch in batches:
        prior.update(batch)
    np.testing.assert_array_equal(prior.points, np.concatenate(batches)[-6:])


@pytest.mark.parametrize(("count", "clusters"), [(2, 2), (4, 2), (10, 5), (100, 20)])
def test_clusters_grow_with_the_points_up_to_their_number(count: int, clusters: int) -> None:
    prior = MixturePrior(PriorOptions(clusters=20, points_per_cluster=40, window=100))
    prior.update(trials(count, seed=2))
    assert prior.mixture is not None
    assert prior.mixture.clusters == clusters


def test_strengths_are_one_trial_less_what_the_size_takes() -> None:
    prior = MixturePrior(PriorOptions(clusters=4, points_per_cluster=10, strength=2.0))
    shares = prior.update(trials(4, seed=3))
    at = prior.at(shares)
    assert prior.mixture is not None
    assert at.mean_strength == 2.0
    assert at.scatter_strength == pytest.approx(2.0 * (80 - 2 - 5) / 80)
    mean, scatter = prior.mixture.moments(shares.mean(axis=0))
    np.testing.assert_array_equal(at.mean, mean)
    np.testing.assert_array_equal(at.scatter, 2.0 * scatter)


def test_one_that_was_put_back_goes_on_to_the_same_bits() -> None:
    options = PriorOptions(clusters=4, points_per_cluster=10)
    prior, again = MixturePrior(options), MixturePrior(options)
    prior.update(trials(5, seed=4))
    again.restore({name: array.copy() for name, array in prior.arrays().items()})
    np.testing.assert_array_equal(prior.update(trials(5, seed=5)), again.update(trials(5, seed=5)))
    for name, array in prior.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_an_empty_one_can_be_put_back_too() -> None:
    prior = MixturePrior(PriorOptions())
    prior.update(trials(5, seed=6))
    prior.restore({})
    assert prior.arrays() == {}
    with pytest.raises(InvalidFieldError, match="update comes first"):
        prior.at(np.ones((1, 20, 2)) / 2)


def test_trials_of_another_shape_or_more_than_the_window_are_refused() -> None:
    prior = MixturePrior(PriorOptions(window=5))
    with pytest.raises(InvalidFieldError, match="found 6 trials; must be at most 5, the window"):
        prior.update(trials(6, seed=7))
    prior.update(trials(5, seed=8))
    with pytest.raises(InvalidFieldError, match=r"found shape \(5, 20, 4\)"):
        prior.update(trials(5, seed=9, size=4))
