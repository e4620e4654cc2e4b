"""Policies and targets the tests of this room share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mbpl_control.core import ActionDefinition, StateBlock, StateDefinition
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture, PolicyTargets

#: Two numbers, an angle without limits between them, and a velocity.
OBSERVATION = StateDefinition(
    (
        StateBlock(
            "joint_positions", ("slide", "turn", "hinge"), ("euclidean", "angle", "euclidean"), ("m", "rad", "rad")
        ),
        StateBlock("joint_velocities", ("slide",), ("euclidean",), ("m/s",)),
    )
)


def action_of(size: int) -> ActionDefinition:
    names = tuple(f"motor_{i}" for i in range(size))
    return ActionDefinition(names, names, "effort", ("N*m",) * size, np.full(size, -np.inf), np.full(size, np.inf))


def precisions_of(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Random positive definite matrices (count, size, size), sure to very different degrees."""
    factor = rng.normal(size=(count, size, size))
    scale = np.exp(rng.normal(size=(count, 1, 1)))
    return scale * (factor @ factor.transpose(0, 2, 1) + 0.3 * np.eye(size))


@pytest.fixture
def make_policy() -> Callable[..., GaussianPolicy]:
    """A policy with random parameters and scales, as if trained; any field of the architecture may be given."""

    def make(observation: StateDefinition = OBSERVATION, size: int = 2, random: int = 0, **fields) -> GaussianPolicy:
        rng = np.random.default_rng(random)
        architecture = PolicyArchitecture(**{"hidden": (7, 5), "activation": "tanh", **fields})
        policy = GaussianPolicy(
            observation, action_of(size), 0.05, seed=random, architecture=architecture, task="reach", task_hash="abc"
        )
        policy.feature_mean = rng.normal(size=policy.features.size)
        policy.feature_scale = rng.uniform(0.3, 3.0, policy.features.size)
        policy.action_scale = rng.uniform(0.5, 20.0, size)
        policy.assign(
            policy.parameters + 0.3 * rng.normal(size=policy.parameters.size),
            np.linalg.inv(precisions_of(rng, 1, size)[0]),
        )
        return policy

    return make


@pytest.fixture
def make_targets() -> Callable[..., PolicyTargets]:
    """Random targets, with weights of their own."""

    def make(policy: GaussianPolicy, count: int = 40, random: int = 0) -> PolicyTargets:
        rng = np.random.default_rng(random)
        m = policy.action.size
        return PolicyTargets(
            2.0 * rng.normal(size=(count, policy.observation.size)),
            5.0 * rng.normal(size=(count, m)),
            precisions_of(rng, count, m),
            rng.uniform(0.2, 3.0, count),
        )

    return make
