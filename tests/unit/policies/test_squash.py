"""A policy whose means are kept within the limits of the actions by a tanh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mbpl_control.core import ActionDefinition, InvalidFieldError, StateBlock, StateDefinition
from mbpl_control.distill.ensemble import side_by_side
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture, PolicyTargets
from mbpl_control.policies.network import PolicyNetwork
from mbpl_control.policies.training import AdamTrainer

OBSERVATION = StateDefinition((StateBlock("joint_positions", ("a", "b", "c"), ("euclidean",) * 3, ("rad",) * 3),))
LOWER, UPPER = np.array([-0.1, -2.0]), np.array([0.3, 5.0])


def limited(lower: np.ndarray = LOWER, upper: np.ndarray = UPPER) -> ActionDefinition:
    return ActionDefinition(("m", "n"), ("m", "n"), "effort", ("N*m",) * 2, lower, upper)


def policy_of(squash: str = "tanh", action: ActionDefinition | None = None, spread: float = 2.0) -> GaussianPolicy:
    architecture = PolicyArchitecture((8, 6), "tanh", squash=squash)
    policy = GaussianPolicy(OBSERVATION, action or limited(), 0.05, seed=1, architecture=architecture)
    rng = np.random.default_rng(2)
    policy.action_scale = np.array([0.2, 3.5])
    policy.assign(spread * rng.normal(size=policy.parameters.size), policy.covariance)
    return policy


def test_means_are_the_tanh_of_those_without_a_squash_and_equal_those_of_torch() -> None:
    policy, plain = policy_of(), policy_of("none")
    o = np.random.default_rng(3).normal(size=(40, 3))
    middle, half = 0.5 * (LOWER + UPPER), 0.5 * (UPPER - LOWER)
    expected = middle + half * np.tanh(plain.means(o) / half)
    np.testing.assert_allclose(policy.means(o), expected, rtol=1e-13, atol=1e-13)
    network = PolicyNetwork(policy)
    heads = network.heads(network.layers(torch.tensor(policy.parameters)), torch.tensor(policy.standardise(o)))
    np.testing.assert_allclose(heads.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_no_mean_is_beyond_a_limit_however_far_the_network_goes() -> None:
    policy = policy_of(spread=1e3)
    o = 100.0 * np.random.default_rng(4).normal(size=(500, 3))
    means = policy.means(o)
    assert (means >= LOWER).all() and (means <= UPPER).all()
    np.testing.assert_allclose([means.min(axis=0), means.max(axis=0)], [LOWER, UPPER], rtol=1e-12)


def test_the_jacobian_equals_central_differences_and_the_mean_that_of_many() -> None:
    policy = policy_of(spread=0.7)
    for o in np.random.default_rng(5).normal(size=(5, 3)):
        mean, jacobian, _ = policy.linearize(o)
        step = 1e-6 * np.eye(3)
        differences = (policy.means(o + step) - policy.means(o - step)).T / 2e-6
        np.testing.assert_allclose(jacobian, differences, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(mean, policy.means([o])[0], rtol=1e-13)


def test_a_file_keeps_it_and_one_from_before_there_was_any_has_none(tmp_path: Path) -> None:
    policy = policy_of()
    again = GaussianPolicy.load(policy.save(tmp_path / "policy.npz"))
    o = np.random.default_rng(6).normal(size=(4, 3))
    assert again.means(o).tobytes() == policy.means(o).tobytes()
    assert again.hash == policy.hash
    assert "squash" not in PolicyArchitecture().to_dict()
    assert PolicyArchitecture.from_dict(PolicyArchitecture().to_dict()).squash == "none"


def test_the_hash_tells_a_squash_and_its_limits_apart() -> None:
    assert len({policy_of().hash, policy_of("none").hash, policy_of(action=limited(upper=UPPER + 1.0)).hash}) == 3


def test_it_learns_a_function_that_saturates() -> None:
    rng = np.random.default_rng(7)
    o = rng.normal(size=(400, 3))
    means = np.clip(np.stack([o[:, 0], 4.0 * o[:, 1] + 2.0 * o[:, 2]], axis=1), LOWER, UPPER)
    policy = GaussianPolicy(OBSERVATION, limited(), 0.05, seed=1, architecture=PolicyArchitecture(squash="tanh"))
    precisions = np.tile(np.diag(1.0 / np.square(UPPER - LOWER)), (400, 1, 1))
    AdamTrainer(1500, solve_last_layer=False).train(policy, PolicyTargets(o, means, precisions), seed=0)
    error = np.sqrt(np.mean(np.square(policy.means(o) - means), axis=0)) / means.std(axis=0)
    assert error.max() < 0.1, error


def test_what_cannot_be_squashed_is_refused() -> None:
    with pytest.raises(InvalidFieldError, match="squash: found 'sine'"):
        PolicyArchitecture(squash="sine")
    with pytest.raises(InvalidFieldError, match="an actuator without limits"):
        policy_of(action=limited(upper=np.array([0.3, np.inf])))
    targets = PolicyTargets(np.zeros((9, 3)), np.zeros((9, 2)), np.tile(np.eye(2), (9, 1, 1)))
    with pytest.raises(InvalidFieldError, match="solve_last_layer: found True; must be False"):
        AdamTrainer(5).train(policy_of(), targets, seed=0)
    with pytest.raises(InvalidFieldError, match="squash"):
        side_by_side([policy_of(), policy_of()])
