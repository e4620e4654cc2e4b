"""SAC and what a model makes of it, on a task whose best policy is known by a Riccati equation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_are

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.ensemble import EnsembleOptions
from mbpl_control.mbrl.mbpo import BranchOptions, RolloutLength
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics
from mbpl_control.mbrl.problem import LearningProblem, run_episode
from mbpl_control.mbrl.sac import SacOptions
from mbpl_control.mbrl.sac_learner import METHODS, LearnerOptions, SacLearner
from mbpl_control.policies import GaussianPolicy

STEPS, GAIN, PRICE, NOISE = 10, 0.4, 0.1, 0.02


class Cart(gymnasium.Env):
    """x' = x + 0.4 u + noise, reward −x² − 0.1 u²; 10 steps from within ±1."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict]:
        super().reset(seed=seed)
        self._x, self._t = self.np_random.uniform(-1.0, 1.0, 1), 0
        return self._x, {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict]:
        reward = float(-(self._x[0] ** 2) - PRICE * action[0] ** 2)
        self._x = self._x + GAIN * np.asarray(action) + NOISE * self.np_random.standard_normal(1)
        self._t += 1
        return self._x, reward, False, self._t >= STEPS, {}


class Endless(Cart):
    """One whose episodes are ended by who runs it."""

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict]:
        return (*super().step(action)[:3], False, {})


def problem() -> LearningProblem:
    return LearningProblem(
        name="cart",
        make=Cart,
        n=1,
        lower=np.array([-1.0]),
        upper=np.array([1.0]),
        dt=0.1,
        steps=STEPS,
        reward=lambda x, u, _: -x[:, 0].square() - PRICE * u[:, 0].square(),
        cost=lambda x, u, _: x[:, 0].square() + PRICE * u[:, 0].square(),
        ended=lambda x: x[:, 0].abs() > 1e6,
    )


FAST = LearnerOptions(
    explore=60,
    updates=4,
    batch_size=32,
    turn=260,
    sac=SacOptions((32, 32), discount=0.8, learning_rate=3e-3, follow=0.02, temperature=0.03),
    model_every=50,
)


def settings(name: str) -> LearnerOptions:
    """The method's own use of a model, with networks that are fast."""
    return replace(FAST, branches=METHODS[name].branches, horizon=METHODS[name].horizon)


def mean_return(act, episodes: int = 20) -> float:
    environment = Cart()
    return float(np.mean([run_episode(environment, act, 50 + k).total for k in range(episodes)]))


@pytest.mark.parametrize("name", ["SAC", "MBA", "MVE", "MBPO"])
def test_every_method_comes_near_the_best_feedback_there_is(name: str) -> None:
    p = solve_discrete_are(np.eye(1), np.array([[GAIN]]), np.eye(1), PRICE * np.eye(1))[0, 0]
    gain = GAIN * p / (PRICE + GAIN**2 * p)
    best = mean_return(lambda x, _: -gain * x)
    learner = SacLearner(problem(), 0, replace(settings(name), turn=500), MixtureDynamics(1, 1, seed=0))
    nothing = mean_return(lambda x, _: 0.0 * x)
    learner.advance()
    assert learner.steps == 500
    assert mean_return(learner.act) > best + 0.05 * (nothing - best)


def test_critics_begin_with_the_value_of_what_exploring_was_paid_for_ever() -> None:
    states, found = torch.linspace(-1.0, 1.0, 5)[:, None], []
    for guess in (False, True):
        options = replace(
            FAST, turn=60, updates=1, guess=guess, unit=False, bounded=False, sac=replace(FAST.sac, learning_rate=1e-12)
        )
        learner = SacLearner(problem(), 0, options)
        learner.advance()
        found.append(learner.agent.soft_values(states).numpy())
    paid = learner.real.batch(learner.real.newest(60)).rewards.mean()
    assert found[1] - found[0] == pytest.approx(float(paid) / (1.0 - 0.8), abs=1e-5)


@pytest.mark.parametrize("colour", [0.0, 1.0])
def test_exploring_draws_evenly_within_the_limits_and_each_step_like_the_last_as_its_colour_says(colour: float) -> None:
    length, episodes = 200, 100
    endless = replace(problem(), steps=length, make=Endless)
    learner = SacLearner(endless, 0, replace(FAST, explore=10**6, turn=length * episodes, colour=colour))
    learner.advance()
    rows = learner.real.newest(length * episodes)
    actions = learner.real.batch(rows).actions.numpy().reshape(episodes, length)
    # each tenth of the range is as likely; what lasts gives fewer draws that know nothing of each other
    shares = np.histogram(actions, bins=10, range=(-1.0, 1.0))[0] / actions.size
    np.testing.assert_allclose(shares, 0.1, atol=0.01 + 0.02 * colour)
    # a spectrum is the Fourier transform of the autocorrelation
    waves = np.arange(length // 2 + 1)
    power = np.maximum(waves, 1.0) ** -colour * np.where((waves == 0) | (waves == length // 2), 1.0, 2.0)
    after_one = power @ np.cos(2.0 * np.pi * waves / length) / power.sum()
    # of normal numbers that are made even by their distribution function
    expected = 6.0 / np.pi * np.arcsin(0.5 * after_one)
    found = np.corrcoef(actions[:, :-1].ravel(), actions[:, 1:].ravel())[0, 1]
    assert found == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("name", ["MBPO", "MVE"])
def test_in_what_rewards_are_counted_changes_nothing(name: str) -> None:
    plain = problem()

    def learned(unit: float) -> SacLearner:
        scaled = replace(
            plain,
            make=lambda: gymnasium.wrappers.TransformReward(Cart(), lambda reward: unit * float(reward)),
            reward=lambda x, u, y: unit * plain.reward(x, u, y),
        )
        learner = SacLearner(scaled, 3, replace(settings(name), turn=120))
        learner.advance()
        return learner

    first = learned(1.0)
    # by powers of two nothing is rounded otherwise
    for unit in (1024.0, 2.0**-12):
        other = learned(unit)
        assert other.agent.reward_unit == unit * first.agent.reward_unit
        assert (other.policy.parameters == first.policy.parameters).all()


def test_the_same_seed_gives_the_same_bits() -> None:
    found = []
    for seed in (1, 1, 2):
        options = replace(settings("MBPO"), explore=20, turn=30, ensemble=EnsembleOptions(2, (8,), steps=20))
        learner = SacLearner(problem(), seed, options)
        learner.advance()
        found.append((learner.act(np.array([0.3]), 0).tobytes(), learner.real.newest(30).tobytes()))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_imagined_transitions_are_kept_for_as_many_times_as_was_said_and_start_where_they_should() -> None:
    branches = BranchOptions(RolloutLength(1, 3, 50, 70), rollouts=10, every=5, retention=2, newest=8)
    options = replace(FAST, turn=90, branches=branches)
    learner = SacLearner(problem(), 0, options, MixtureDynamics(1, 1, seed=0))
    learner.advance()
    assert learner.branches is not None
    imagined = learner.branches.buffer
    assert len(imagined) == imagined.capacity == 10 * 2 * 3
    # of a time's 10 rollouts of 3 steps, written step by step, the first 10 start at the newest 8 real states
    starts = imagined.newest(30)[:10, 0]
    assert set(starts) <= set(learner.real.newest(8)[:, 0])


def test_the_length_of_rollouts_grows_between_two_steps() -> None:
    length = RolloutLength(1, 5, 100, 200)
    assert [length.at(s) for s in (0, 100, 124, 125, 150, 199, 200, 10**6)] == [1, 1, 1, 2, 3, 4, 5, 5]
    assert RolloutLength(4, 4).at(7) == 4
    with pytest.raises(InvalidFieldError, match="end"):
        RolloutLength(1, 2, 10, 10)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: LearnerOptions(updates=0), "updates"),
        (lambda: LearnerOptions(horizon=-1), "horizon"),
        (lambda: LearnerOptions(colour=-1.0), "colour"),
        (lambda: BranchOptions(real_share=1.1), "real_share"),
        (lambda: BranchOptions(newest=0), "newest"),
        (lambda: BranchOptions(retention=0), "retention"),
    ],
)
def test_an_option_that_means_nothing_is_refused(make, name: str) -> None:
    with pytest.raises(InvalidFieldError, match=name):
        make()


def test_what_was_learned_is_a_policy_that_does_what_the_learner_is_judged_by(tmp_path: Path) -> None:
    learner = SacLearner(problem(), 0, FAST)
    with pytest.raises(InvalidFieldError, match="at least 1"):
        _ = learner.policy
    learner.advance()
    policy = GaussianPolicy.load(learner.policy.save(tmp_path / "policy.npz"))
    x = np.linspace(-1.0, 1.0, 9)[:, None]
    np.testing.assert_allclose(policy.means(x), [learner.act(each, 0) for each in x], rtol=1e-4, atol=1e-5)
    assert (policy.dt, policy.task) == (0.1, "cart")
    # where the noise is small, the deviation of a squashed Gaussian is its slope times σ
    learner.agent._mean_actor.layers[-1][0, ..., 1] -= 10.0
    learner.agent._actor = learner.agent._mean_actor
    drawn, _ = learner.agent.random_action(np.full((40_000, 1), 0.3))
    np.testing.assert_allclose(learner.agent.deviation(np.array([[0.3]])), drawn.std(axis=0), rtol=0.03)
