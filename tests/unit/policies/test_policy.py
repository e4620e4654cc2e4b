"""A policy in numpy: its means, its Jacobian and its covariance."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from mbpl_control.core import FeedbackLaw, InvalidFieldError, StateBlock, StateDefinition
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture
from mbpl_control.policies.network import PolicyNetwork

KINDS = [(a, c) for a in ("relu", "tanh") for c in ("constant", "state_dependent")]


def torch_features(policy: GaussianPolicy, o: torch.Tensor) -> torch.Tensor:
    """Numbers, sines and cosines, standardised."""
    spaces = policy.observation.space.spaces
    lines = [i for i, s in enumerate(spaces) if s == "euclidean"]
    angles = [i for i, s in enumerate(spaces) if s == "angle"]
    raw = torch.cat([o[..., lines], torch.sin(o[..., angles]), torch.cos(o[..., angles])], dim=-1)
    return (raw - torch.tensor(policy.feature_mean)) / torch.tensor(policy.feature_scale)


@pytest.mark.parametrize(("activation", "covariance"), KINDS)
def test_means_jacobian_and_covariance_equal_those_of_torch(make_policy, activation: str, covariance: str) -> None:
    policy = make_policy(size=3, activation=activation, covariance=covariance)
    network = PolicyNetwork(policy)
    layers = network.layers(torch.tensor(policy.parameters))
    o = np.random.default_rng(3).normal(size=(30, 4))
    heads = network.heads(layers, torch_features(policy, torch.tensor(o)))
    factors = network.factors(heads)
    means, covariances = policy.distribution(o)
    np.testing.assert_allclose(means, heads[:, :3].numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(covariances, (factors @ factors.mT).numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(policy.means(o), means)
    for i in range(5):
        mean, jacobian, sigma = policy.linearize(o[i])
        autograd = torch.autograd.functional.jacobian(
            lambda x: network.heads(layers, torch_features(policy, x[None]))[0, :3], torch.tensor(o[i])
        )
        np.testing.assert_allclose(mean, means[i], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(jacobian, autograd.numpy(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(sigma, covariances[i], rtol=1e-12, atol=1e-12)


def test_the_jacobian_equals_central_differences(make_policy) -> None:
    policy = make_policy(size=3)
    o = np.random.default_rng(1).normal(size=4)
    step = 1e-6 * np.eye(4)
    differences = (policy.means(o + step) - policy.means(o - step)).T / 2e-6
    np.testing.assert_allclose(policy.linearize(o)[1], differences, rtol=1e-7, atol=1e-8)


def test_a_policy_without_hidden_layers_is_linear(make_policy) -> None:
    policy = make_policy(hidden=())
    a, b = np.random.default_rng(2).normal(size=(2, 4))
    b[1] = a[1]  # the angle
    middle = policy.means([0.5 * (a + b)])
    np.testing.assert_allclose(middle, policy.means([a, b]).mean(axis=0, keepdims=True), rtol=1e-12)


def test_whole_turns_of_a_joint_without_limits_change_nothing(make_policy) -> None:
    policy = make_policy()
    o = np.array([0.2, 3.1, -0.4, 0.7])
    turned = o + np.array([0.0, 4.0 * np.pi, 0.0, 0.0])
    for here, there in zip(policy.linearize(o), policy.linearize(turned), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-12, atol=1e-12)


def test_a_linearisation_is_a_feedback_law(make_policy) -> None:
    policy = make_policy()
    o = np.array([0.2, 3.1, -0.4, 0.7])
    mean, jacobian, sigma = policy.linearize(o)
    law = FeedbackLaw(policy.observation, policy.action, o, mean, jacobian, sigma)
    near = o + 1e-5 * np.array([1.0, -2.0, 0.5, 1.5])
    np.testing.assert_allclose(law.mean(near), policy.means([near])[0], atol=1e-8)


def test_a_state_dependent_covariance_keeps_within_its_range_however_far_the_observation_is(make_policy) -> None:
    policy = make_policy(size=3, covariance="state_dependent", activation="relu", log_std_range=2.0)
    far = 1e9 * np.random.default_rng(0).normal(size=(50, 4))
    factors = np.linalg.cholesky(policy.distribution(far)[1])
    ratio = np.diagonal(factors, axis1=1, axis2=2) / np.diag(np.linalg.cholesky(policy.covariance))
    assert ratio.max() <= np.exp(2.0) * (1.0 + 1e-9)
    assert ratio.min() >= np.exp(-2.0) * (1.0 - 1e-9)


def test_a_feature_that_hardly_varied_is_centred_and_left_in_its_unit(make_policy, make_targets) -> None:
    policy = make_policy()
    targets = make_targets(policy)
    observations = np.array(targets.observations)
    observations[:, 2] = 0.3 + 1e-5 * np.sin(np.arange(len(observations)))
    policy.fit_scales(type(targets)(observations, targets.means, targets.precisions))
    third = [0, 2, 3].index(2)
    assert policy.feature_scale[third] == 1.0
    assert policy.feature_mean[third] == pytest.approx(observations[:, 2].mean(), abs=1e-12)
    others = np.delete(policy.standardise(observations), third, axis=1)
    np.testing.assert_allclose(others.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(others.std(axis=0), 1.0, rtol=1e-12)


def test_initial_weights_follow_from_the_seed_and_keep_the_size_of_what_passes_through() -> None:
    architecture = PolicyArchitecture(hidden=(400, 400))
    first, again, other = (architecture.initial_parameters(400, 400, seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, other)
    h = np.random.default_rng(0).normal(size=(200, 400))
    shapes = architecture.shapes(400, 400)
    start = 0
    for layer, (rows, columns) in enumerate(shapes):
        weights = first[start : start + rows * columns].reshape(rows, columns)
        start += rows * (columns + 1)
        h = h @ weights.T
        if layer < 2:
            h = np.maximum(h, 0.0)
            # E[relu(a)²] = var(a) / 2, and var(a) = 2 E[h²]
            assert np.mean(h * h) == pytest.approx(1.0, rel=0.1)
    assert np.mean(h * h) == pytest.approx(1.0, rel=0.1)


def test_a_policy_goes_to_another_process_and_answers_the_same_bits(make_policy) -> None:
    policy = make_policy(covariance="state_dependent")
    again = pickle.loads(pickle.dumps(policy))
    o = np.random.default_rng(0).normal(size=(5, 4))
    for here, there in zip(policy.distribution(o), again.distribution(o), strict=True):
        assert here.tobytes() == there.tobytes()


def test_an_observation_with_a_quaternion_is_refused(action) -> None:
    ball = StateDefinition((StateBlock("joint_positions", ("ball",), ("quaternion",), ("1",)),))
    with pytest.raises(InvalidFieldError, match="quaternion"):
        GaussianPolicy(ball, action, 0.05, seed=0)


@pytest.mark.parametrize("observation", [np.zeros(3), np.full(4, np.nan), np.zeros((1, 4))])
def test_an_observation_of_another_shape_or_not_finite_is_refused(make_policy, observation: np.ndarray) -> None:
    with pytest.raises(InvalidFieldError, match=r"GaussianPolicy\.observation"):
        make_policy().linearize(observation)


@pytest.mark.parametrize(
    "fields",
    [
        {"hidden": (0,)},
        {"hidden": 40},
        {"activation": "sine"},
        {"covariance": "none"},
        {"log_std_range": 0.0},
        {"constant_below": -1.0},
    ],
    ids=str,
)
def test_an_architecture_that_is_none_is_refused(fields: dict) -> None:
    with pytest.raises(InvalidFieldError, match=next(iter(fields))):
        PolicyArchitecture(**fields)


def test_a_covariance_without_inverse_is_refused(make_policy) -> None:
    policy = make_policy()
    with pytest.raises(InvalidFieldError, match="singular"):
        policy.assign(policy.parameters, np.diag([1.0, 0.0]))
