"""Divide and conquer: parts, what draws policies together, and what is distilled of them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.mbrl.evaluation import learn
from mbpl_control.multitask.divide_and_conquer import (
    DivideAndConquer,
    DivideOptions,
    Partition,
    pull_of,
    pull_to,
    sum_of,
)
from mbpl_control.multitask.natural_policy_gradient import PolicyGradientOptions, first_policy
from mbpl_control.multitask.two_link import quadrant, two_link_reacher
from mbpl_control.policies import PolicyArchitecture
from mbpl_control.policies.network import PolicyNetwork, gaussian_kl
from mbpl_control.policies.training import AdamTrainer

REACHER = two_link_reacher()
SMALL = PolicyArchitecture((8,), activation="tanh", covariance="state_dependent")
QUICK = AdamTrainer(300, 256, held_out=0.0)


def options(pull: float, to: str = "others", *, reset: bool = True) -> DivideOptions:
    local = PolicyGradientOptions(episodes=80)
    return DivideOptions(local, pull, to, period=3, reset=reset, trainer=QUICK)


def test_k_means_finds_groups_of_starts_whatever_their_units() -> None:
    rng = np.random.default_rng(0)
    which = rng.integers(3, size=300)
    centres = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1e3]])
    # one number is the same in all starts
    starts = np.column_stack([centres[which] + rng.normal(size=(300, 2)) * [0.05, 50.0], np.full(300, 7.0)])
    partition = Partition.by_k_means(starts, 3, seed=0)
    parts = partition.part_of(starts)
    groups = [set(parts[which == k].tolist()) for k in range(3)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(*groups)) == 3


def test_starts_of_a_part_are_of_that_part_alone() -> None:
    partition = Partition(4, quadrant)
    starts = partition.draw(REACHER, 2, 50, np.random.default_rng(1))
    assert (starts[:, 4:] < 0.0).all()
    with pytest.raises(InvalidFieldError, match="0 starts of part 5"):
        partition.draw(REACHER, 5, 2, np.random.default_rng(1), most=3)


def test_pulls_are_kl_in_both_directions() -> None:
    mine, other = (first_policy(REACHER, SMALL, std, seed=2) for std in (0.3, 0.5))
    other.assign(other.parameters + 0.1, other.covariance)
    x = REACHER.starts(20, np.random.default_rng(2))
    (m1, c1), (m2, c2) = mine.distribution(x), other.distribution(x)

    def kl(p: np.ndarray, cp: np.ndarray, q: np.ndarray, cq: np.ndarray) -> float:
        total = 0.0
        for i in range(20):
            inverse = np.linalg.inv(cq[i])
            away = q[i] - p[i]
            ratio = np.linalg.slogdet(cq[i])[1] - np.linalg.slogdet(cp[i])[1]
            total += 0.5 * (np.trace(inverse @ cp[i]) + away @ inverse @ away - 2.0 + ratio)
        return total / 20

    network, theta = PolicyNetwork(mine), torch.tensor(mine.parameters)
    to, of = pull_to(other, mine, x, 2.0), pull_of(other, mine, x, 3.0)
    assert float(to(network, theta)) == pytest.approx(2.0 * kl(m1, c1, m2, c2))
    assert float(of(network, theta)) == pytest.approx(3.0 * kl(m2, c2, m1, c1))
    both = sum_of([to, of])
    assert both is not None
    assert float(both(network, theta)) == pytest.approx(float(to(network, theta)) + float(of(network, theta)))
    assert sum_of([]) is None


def spread(learner: DivideAndConquer) -> float:
    """Mean KL between the local policies at starts of all parts."""
    x = REACHER.starts(100, np.random.default_rng(3))
    gaussians = []
    for local in learner.locals:
        means, covariances = local.policy.distribution(x)
        gaussians.append((torch.from_numpy(means), torch.linalg.cholesky(torch.from_numpy(covariances))))
    return float(np.mean([float(gaussian_kl(*p, *q).mean()) for p in gaussians for q in gaussians]))


@pytest.mark.parametrize("to", ["others", "global"])
def test_the_pull_keeps_local_policies_together(to: str) -> None:
    found = []
    for pull in (0.0, 1.0):
        learner = DivideAndConquer(REACHER, Partition(4, quadrant), 4, options(pull, to), SMALL)
        for _ in range(3):
            learner.improve()
        found.append(spread(learner))
    assert found[1] < 0.5 * found[0]


def test_the_global_policy_comes_to_agree_with_each_local_one_where_that_one_goes() -> None:
    learner = DivideAndConquer(
        REACHER,
        Partition(4, quadrant),
        5,
        options(0.0, reset=False),
        PolicyArchitecture((32,), activation="tanh", covariance="state_dependent"),
    )
    for _ in range(5):
        batches = learner.improve()
    before = copy.deepcopy(learner.policy)
    learner.distil(batches)
    for local, batch in zip(learner.locals, batches, strict=True):
        said = local.policy.means(batch.visited)
        away = [np.abs(each.means(batch.visited) - said).mean() for each in (before, learner.policy)]
        assert away[1] < 0.5 * away[0]


def test_it_is_a_learner_by_steps_whose_local_policies_begin_anew_after_each_distillation() -> None:
    learner = DivideAndConquer(REACHER, Partition(4, quadrant), 6, options(0.1), SMALL)
    found = learn(learner, budget=1, episodes=2)
    assert [each.steps for each in found] == [3 * 80 * 40]
    assert {local.policy.hash for local in learner.locals} == {learner.policy.hash}
    again = DivideAndConquer(REACHER, Partition(4, quadrant), 6, options(0.1), SMALL)
    again.advance()
    assert again.policy.hash == learner.policy.hash


def test_wrong_options_are_named() -> None:
    with pytest.raises(InvalidFieldError, match="pull: found -1"):
        DivideOptions(pull=-1.0)
    with pytest.raises(InvalidFieldError, match="pulled_to: found 'none'"):
        DivideOptions(pulled_to="none")
    few = DivideOptions(PolicyGradientOptions(episodes=3))
    with pytest.raises(InvalidFieldError, match="3 for 4 parts; must be at least one a part"):
        DivideAndConquer(REACHER, Partition(4, quadrant), 0, few, SMALL)
