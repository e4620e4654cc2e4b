"""A condition of three steps, made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import ActionDefinition, LinearGaussianController, StateBlock, StateDefinition
from mbpl_control.gps.linearisation import PolicyAtTrials
from mbpl_control.gps.variant import ConditionView
from mbpl_control.learning.condition_state import ConditionState
from mbpl_control.trajopt.kl_lqr import LinearLaw

TRIALS, STEPS, N, M = 5, 3, 3, 2


@pytest.fixture
def view() -> ConditionView:
    """A condition whose controller, policy and trials are random and unlike each other."""
    rng = np.random.default_rng(0)

    def covariances() -> np.ndarray:
        factor = rng.normal(size=(STEPS, M, M))
        return factor @ factor.transpose(0, 2, 1) + 0.3 * np.eye(M)

    def law() -> LinearLaw:
        return LinearLaw.of(rng.normal(size=(STEPS, M, N)), rng.normal(size=(STEPS, M)), covariances())

    names = tuple("abc")
    state = StateDefinition((StateBlock("joint_positions", names, ("euclidean",) * N, ("rad",) * N),))
    limit = np.full(M, np.inf)
    controller = LinearGaussianController(
        state,
        ActionDefinition(("one", "two"), ("a", "b"), "effort", ("N*m",) * M, -limit, limit),
        0.05,
        rng.normal(size=(STEPS + 1, N)),
        rng.normal(size=(STEPS, M)),
        rng.normal(size=(STEPS, M, N)),
        feedforward=rng.normal(size=(STEPS, M)),
        covariances=covariances(),
    )
    states = rng.normal(size=(TRIALS, STEPS, N))
    policy = PolicyAtTrials(states, states, rng.normal(size=(TRIALS, STEPS, M)), covariances())
    return ConditionView(ConditionState(7, controller), policy, law(), law())
