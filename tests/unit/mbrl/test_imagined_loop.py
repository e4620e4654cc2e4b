"""Learned dynamics as a closed loop: the same numbers as the ensemble's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.mbrl.closed_loop import roll_out
from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.gradient import estimate
from mbpl_control.mbrl.imagined_loop import imagined_loop
from mbpl_control.mbrl.learned_dynamics import Transitions
from mbpl_control.mbrl.policy_learner import problem_policy
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture

M = 2


@pytest.fixture(scope="module")
def problem() -> LearningProblem:
    return LearningProblem(
        name="a plane",
        make=lambda: None,  # type: ignore[arg-type, return-value]
        n=3,
        lower=np.array([-1.0, -0.5]),
        upper=np.array([1.0, 0.5]),
        dt=0.1,
        steps=10,
        reward=lambda x, u, y: y[:, 0],
        cost=lambda x, u, y: y.square().sum(dim=1) + 0.1 * u.square().sum(dim=1),
        ended=lambda y: y[:, 0] > 1.5,
    )


@pytest.fixture(scope="module")
def dynamics() -> EnsembleDynamics:
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(80, 3)), rng.uniform(-1.0, 1.0, size=(80, M))
    model = EnsembleDynamics(3, M, seed=0, options=EnsembleOptions(members=3, hidden=(8,), steps=100))
    model.learn(Transitions(x, u, 0.9 * x + 0.3 * np.pad(u, ((0, 0), (0, 1))) + 0.05 * rng.normal(size=x.shape)))
    return model


@pytest.fixture
def policy(problem: LearningProblem) -> GaussianPolicy:
    made = problem_policy(problem, 1, PolicyArchitecture(hidden=(6,), activation="tanh", squash="tanh"))
    made.feature_mean, made.feature_scale = np.array([0.1, -0.2, 0.3]), np.array([0.5, 2.0, 1.5])
    made.assign(made.parameters, np.diag([0.04, 0.09]))
    return made


def test_its_particles_have_the_moments_of_the_ensemble_at_actions_within_the_limits(
    problem: LearningProblem, dynamics: EnsembleDynamics, policy: GaussianPolicy
) -> None:
    loop = imagined_loop(problem, dynamics, policy)
    theta = torch.tensor(policy.parameters)
    starts = 1.5 * torch.randn(60, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = roll_out(loop, theta, starts, 4, torch.Generator().manual_seed(3))
    gone = np.zeros(60, dtype=bool)
    beyond = 0
    for t in range(4):
        x, u, y, c = (part[t].numpy() for part in (found.states, found.actions, found.states[1:], found.costs))
        gone = x[:, 0] > 1.5
        np.testing.assert_allclose(
            u, policy.means(x) + np.array([0.2, 0.3]) * found.action_noise[t].numpy(), rtol=1e-10, atol=1e-12
        )
        cut = np.clip(u, problem.lower, problem.upper)
        beyond += int((cut != u).any())
        mean, deviation = dynamics.moments(x, cut)
        drawn = mean + deviation * found.state_noise[t].numpy()
        np.testing.assert_allclose(y, np.where(gone[:, None], x, drawn), rtol=1e-9, atol=1e-12)
        mean[gone] = x[gone]
        expected = np.square(mean).sum(axis=1) + 0.1 * np.square(cut).sum(axis=1)
        np.testing.assert_allclose(c, expected, rtol=1e-9)
    assert beyond and gone.any() and not gone.all()


def test_its_pathwise_gradient_is_that_of_its_particles_by_finite_differences(
    problem: LearningProblem, dynamics: EnsembleDynamics, policy: GaussianPolicy
) -> None:
    loop = imagined_loop(problem, dynamics, policy)
    theta = torch.tensor(policy.parameters)
    starts = 0.3 * torch.randn(20, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def rolled(parameters: torch.Tensor):
        return roll_out(loop, parameters, starts, 3, torch.Generator().manual_seed(5))

    found = estimate(loop, theta, rolled(theta), "pathwise").mean
    assert not found.requires_grad
    for i in range(0, len(theta), 7):
        h = torch.zeros_like(theta)
        h[i] = 1e-6
        slope = float(rolled(theta + h).totals.mean() - rolled(theta - h).totals.mean()) / 2e-6
        assert float(found[i]) == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_noise_of_actions_together_is_refused(
    problem: LearningProblem, dynamics: EnsembleDynamics, policy: GaussianPolicy
) -> None:
    policy.assign(policy.parameters, np.array([[1.0, 0.1], [0.1, 1.0]]))
    with pytest.raises(InvalidFieldError, match="covariance: found of actions together; must be diagonal"):
        imagined_loop(problem, dynamics, policy)
    network = problem_policy(problem, 0, PolicyArchitecture(covariance="state_dependent"))
    with pytest.raises(InvalidFieldError, match="covariance"):
        imagined_loop(problem, dynamics, network)
