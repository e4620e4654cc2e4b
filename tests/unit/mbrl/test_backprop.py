"""Back through learned dynamics into a policy: its imagined cost, its derivative, and what is learned by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from scipy.linalg import solve_discrete_are
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.backprop import BackpropLearner, BackpropOptions, imagined_costs
from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.evaluation import EVALUATION_SEEDS
from mbpl_control.mbrl.learned_dynamics import Transitions
from mbpl_control.mbrl.policy_learner import TrialOptions, problem_policy
from mbpl_control.mbrl.problem import LearningProblem, run_episode
from mbpl_control.mbrl.walk import Walk
from mbpl_control.policies import PolicyArchitecture
from mbpl_control.policies.network import PolicyNetwork

#: A mass on a rail, s a step; what its position, its speed and the force cost, as squares.
DT, COSTS = 0.1, (1.0, 0.1, 0.05)
A, B = np.array([[1.0, DT], [0.0, 1.0]]), np.array([[0.5 * DT**2], [DT]])
SMALL = EnsembleOptions(members=2, hidden=(16,), steps=300, learning_rate=3e-3)


class Mass(gymnasium.Env):
    """x' = A x + B u from where it was put."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float64)
    action_space = Box(-2.0, 2.0, (1,), np.float64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Array, dict]:
        super().reset(seed=seed)
        self._state = self.np_random.uniform(-1.0, 1.0, 2)
        return self._state.copy(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        self._state = A @ self._state + B @ action
        cost = COSTS[0] * self._state[0] ** 2 + COSTS[1] * self._state[1] ** 2 + COSTS[2] * action[0] ** 2
        return self._state.copy(), -cost, False, False, {}


def cost(_: Tensor, actions: Tensor, successors: Tensor) -> Tensor:
    squares = torch.cat([successors.square(), actions.square()], dim=1)
    return squares @ torch.tensor(COSTS, dtype=torch.float64)


def mass() -> LearningProblem:
    return LearningProblem(
        name="mass",
        make=Mass,
        n=2,
        lower=np.array([-2.0]),
        upper=np.array([2.0]),
        dt=DT,
        steps=60,
        reward=lambda x, u, y: -cost(x, u, y),
        cost=cost,
        ended=lambda y: torch.zeros(len(y), dtype=torch.bool),
    )


@pytest.fixture(scope="module")
def dynamics() -> EnsembleDynamics:
    """Two members that learned little, so that they differ."""
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(40, 2)), rng.uniform(-2.0, 2.0, size=(40, 1))
    model = EnsembleDynamics(2, 1, seed=0, options=replace(SMALL, steps=50))
    model.learn(Transitions(x, u, x @ A.T + u @ B.T))
    return model


def test_the_differentiable_ensemble_says_what_its_members_say_each_of_its_own(dynamics: EnsembleDynamics) -> None:
    rng = np.random.default_rng(1)
    x, u = rng.normal(size=(2, 7, 2)), rng.normal(size=(2, 7, 1))
    means, deviations = dynamics.differentiable(torch.tensor(x), torch.tensor(u))
    for member in range(2):
        expected = dynamics.members(x[member], u[member])
        np.testing.assert_allclose(means[member], expected[0][member], rtol=1e-12)
        np.testing.assert_allclose(deviations[member], expected[1][member], rtol=1e-12)
    assert not means.requires_grad  # its weights are constants
    asked = torch.tensor(x[0]).requires_grad_(), torch.tensor(u[0]).requires_grad_()
    assert torch.autograd.gradcheck(dynamics.differentiable, asked)


STEPS = 6


def ends_at(limit: float) -> LearningProblem:
    return replace(mass(), ended=lambda y: y[:, 0] > limit)


def imagined(
    problem: LearningProblem, dynamics: EnsembleDynamics, gain: Tensor, drawn: tuple[Tensor, Tensor]
) -> Tensor:
    return imagined_costs(problem, dynamics, lambda x: 2.0 * torch.tanh(x @ gain[:2, None] + gain[2]), *drawn)


@pytest.fixture
def drawn() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    starts = torch.randn(2, 5, 2, generator=generator, dtype=torch.float64)
    return starts, torch.randn(STEPS, 2, 5, 2, generator=generator, dtype=torch.float64)


def test_an_imagined_particle_keeps_its_member_and_stays_where_its_episode_ends(
    dynamics: EnsembleDynamics, drawn: tuple[Tensor, Tensor]
) -> None:
    gain = torch.tensor([1.5, 1.0, 0.2], dtype=torch.float64)
    limit = 1.2
    found = imagined(ends_at(limit), dynamics, gain, drawn)
    starts, noise = (part.numpy() for part in drawn)
    ended = 0
    for member in range(2):
        for particle in range(5):
            x, total, last, gone = starts[member, particle], 0.0, 0.0, False
            for t in range(STEPS):
                if not gone:
                    u = 2.0 * np.tanh(x @ gain.numpy()[:2, None] + gain.numpy()[2])
                    means, deviations = dynamics.members(x[None], u[None])
                    x = means[member, 0] + deviations[member, 0] * noise[t, member, particle]
                    last = COSTS[0] * x[0] ** 2 + COSTS[1] * x[1] ** 2 + COSTS[2] * u[0] ** 2
                    gone = x[0] > limit
                    ended += gone
                total += last
            assert float(found[member, particle]) == pytest.approx(total / STEPS, rel=1e-10)
    # or the test would show nothing
    assert 0 < ended < 10


def test_its_derivative_by_the_policy_is_that_by_finite_differences(
    dynamics: EnsembleDynamics, drawn: tuple[Tensor, Tensor]
) -> None:
    gain = torch.tensor([-1.0, -0.8, 0.1], dtype=torch.float64).requires_grad_()
    problem = ends_at(2.0)
    (found,) = torch.autograd.grad(imagined(problem, dynamics, gain, drawn).mean(), gain)
    with torch.no_grad():
        for i, h in enumerate(1e-6 * torch.eye(3, dtype=torch.float64)):
            above, below = (float(imagined(problem, dynamics, gain + s, drawn).mean()) for s in (h, -h))
            assert float(found[i]) == pytest.approx((above - below) / 2e-6, rel=1e-6)


BRIEF = {"horizon": 5, "judged_horizon": 5, "dynamics": EnsembleOptions(members=2, hidden=(8,), steps=10)}


def learner(seed: int, **fields: Any) -> BackpropLearner:
    few = {"horizon": 20, "particles": 10, "iterations": 60, "learning_rate": 0.05, "judged": 20, "restarts": 0}
    dynamics = fields.pop("dynamics", SMALL)
    options = BackpropOptions(**{**few, "judged_horizon": 40, **fields})
    policy = problem_policy(mass(), seed, PolicyArchitecture(hidden=(), squash="tanh"))
    return BackpropLearner(mass(), seed, options, TrialOptions(60, 30), dynamics, policy)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_learns_to_bring_a_mass_to_rest_nearly_as_well_as_lqr_that_knows_the_mass(seed: int) -> None:
    weight, force = np.diag(COSTS[:2]), np.array([[COSTS[2]]])
    value = solve_discrete_are(A, B, weight, force)
    gain = np.linalg.solve(force + B.T @ value @ B, B.T @ value @ A)
    seeds = range(EVALUATION_SEEDS, EVALUATION_SEEDS + 20)

    def judged(act: Any) -> float:
        return -float(np.mean([run_episode(Mass(), act, seed, 60).total for seed in seeds]))

    best = judged(lambda x, _: np.clip(-gain @ x, -2.0, 2.0))
    idle = judged(lambda x, _: np.zeros(1))
    made = learner(seed, iterations=150)
    for _ in range(3):
        made.advance()
    assert made.steps == 120
    assert judged(made.act) < 1.1 * best < 0.5 * idle
    # what it learned is a policy like any other, within the limits
    x = np.array([0.3, -0.2])
    np.testing.assert_array_equal(made.act(x, 0), made.policy.means(x[None])[0])
    assert -2.0 <= made.act(np.array([99.0, 99.0]), 0)[0] < -1.9
    np.testing.assert_allclose(made.policy.covariance, [[(0.1 * 2.0) ** 2]])


def test_the_same_seed_learns_the_same_to_the_last_bit() -> None:
    one, two = (learner(3, **BRIEF, iterations=6, look_every=3, restarts=2) for _ in range(2))
    for made in (one, two):
        made.advance()
        made.advance()
    np.testing.assert_array_equal(one.policy.parameters, two.policy.parameters)
    assert one.imagined == two.imagined


def test_of_all_descents_it_keeps_the_policy_of_lowest_imagined_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[Tensor, Tensor]] = []
    descend = BackpropLearner._descend

    def recorded(*given: Any) -> tuple[Tensor, Tensor]:
        found.append(descend(*given))
        return found[-1]

    monkeypatch.setattr(BackpropLearner, "_descend", recorded)
    made = learner(4, **BRIEF, iterations=5, restarts=4)
    made.advance()
    ((policies, costs),) = found
    assert len(policies) == 5
    best = min(range(5), key=lambda g: float(costs[g]))
    assert made.imagined == float(costs[best])
    np.testing.assert_array_equal(made.policy.parameters, policies[best].numpy())


def test_policies_that_are_followed_side_by_side_cost_what_each_costs_alone() -> None:
    made = learner(6, **BRIEF, iterations=1)
    made.advance()
    network, drawn = PolicyNetwork(made.policy), made._drawn(7, 9)
    generator = torch.Generator().manual_seed(0)
    policies = torch.randn(3, len(made.policy.parameters), generator=generator, dtype=torch.float64)
    together = made.cost(network, policies, drawn)
    alone = torch.cat([made.cost(network, each[None], drawn) for each in policies])
    assert together.shape == (3,)
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=0.0)


def test_a_cost_that_is_never_finite_is_an_error() -> None:
    problem = replace(mass(), cost=lambda x, u, y: torch.inf * (1.0 + y.square().sum(dim=1)))
    made = BackpropLearner(problem, 0, BackpropOptions(iterations=1), TrialOptions(20, 5), replace(SMALL, steps=5))
    with pytest.raises(SolverError, match="finite imagined cost"):
        made.advance()


def test_a_policy_of_other_sizes_and_options_out_of_range_are_refused() -> None:
    other = problem_policy(replace(mass(), n=3), 0)
    with pytest.raises(InvalidFieldError, match=r"policy: found sizes \(3, 1\); must be \(2, 1\)"):
        BackpropLearner(mass(), 0, policy=other)
    with pytest.raises(InvalidFieldError, match="squash: found none"):
        BackpropLearner(mass(), 0, policy=problem_policy(mass(), 0, PolicyArchitecture()))
    stronger = problem_policy(replace(mass(), upper=np.array([3.0])), 0)
    with pytest.raises(InvalidFieldError, match=r"limits: found \[-2.\] to \[3.\]; must be \[-2.\] to \[2.\], as"):
        BackpropLearner(mass(), 0, policy=stronger)
    for wrong in ({"horizon": 0}, {"clip": 0.0}, {"restarts": -1}, {"learning_rate": 0.0}):
        with pytest.raises(InvalidFieldError, match=next(iter(wrong))):
            BackpropOptions(**wrong)
    for wrong in ({"first": 0}, {"steps": 0}, {"exploration": 0.0}):
        with pytest.raises(InvalidFieldError, match=next(iter(wrong))):
            TrialOptions(**wrong)


def test_imagined_particles_begin_where_episodes_did_and_within_those_that_did_not_end_for_good() -> None:
    made = learner(5, **BRIEF, iterations=1)
    made.advance()
    # an episode of 60 steps was cut off: its start, and all it came to
    assert len(made.starts) == 1 and len(made.visited) == 60
    known = np.concatenate([made.starts, made.visited])
    drawn = made.imagined_starts(40)
    begun = [int(np.flatnonzero((known == x).all(axis=1))[0]) for x in drawn]
    assert sum(row == 0 for row in begun) == 20
    falling = replace(mass(), make=Falling, ended=lambda y: y[:, 0].abs() > 0.0)
    made.problem, made._walk = falling, Walk(falling, made._rng)
    made.advance()
    # thirty episodes of a step, all of which ended for good
    assert len(made.starts) == 31 and len(made.visited) == 60


class Falling(Mass):
    """Ends for good at once."""

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict]:
        state, reward, *_ = super().step(action)
        return state, reward, True, False, {}
