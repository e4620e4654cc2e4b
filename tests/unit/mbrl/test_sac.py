"""Soft actor-critic where theory says what it must become."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from mbpl_control.core import ActionDefinition, InvalidFieldError, StateBlock, StateDefinition
from mbpl_control.mbrl.replay import Batch
from mbpl_control.mbrl.sac import LOG_STD, SacOptions, SoftActorCritic, log_density
from mbpl_control.mbrl.stacked import Adam, stacked_outputs
from mbpl_control.policies import GaussianPolicy
from mbpl_control.policies.network import one_thread

LOWER, UPPER = np.array([-1.0, -3.0]), np.array([2.0, 3.0])


def bandit(agent: SoftActorCritic, curvature: float, best: float, updates: int, seed: int = 0) -> None:
    """One state, one step: r = −½ c (u − u*)²."""
    generator = torch.Generator().manual_seed(seed)
    with one_thread():
        for _ in range(updates):
            u = 2.0 * torch.rand(64, 1, generator=generator) - 1.0
            reward = -0.5 * curvature * (u[:, 0] - best).square()
            x = torch.zeros(64, 1)
            agent.update(Batch(x, u, x, reward, torch.ones(64)))


def drawn(agent: SoftActorCritic, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    actions, density = agent.random_action(np.zeros((count, 1)))
    return actions[:, 0], density


@pytest.mark.parametrize(("temperature", "curvature"), [(0.1, 10.0), (0.02, 10.0)])
def test_the_soft_optimum_of_a_quadratic_reward_is_a_gaussian_of_variance_alpha_over_c(
    temperature: float, curvature: float
) -> None:
    options = SacOptions((32, 32), learning_rate=3e-3, temperature=temperature, tuned=False)
    agent = SoftActorCritic(1, np.array([-1.0]), np.array([1.0]), 0, options)
    bandit(agent, curvature, 0.2, 800)
    for adam in (agent._of_actor, agent._of_critics):
        adam.learning_rate = 3e-4
    bandit(agent, curvature, 0.2, 700, seed=1)
    actions, _ = drawn(agent)
    assert agent.temperature == pytest.approx(temperature)
    # π ∝ exp(r / α) = N(u*, α / c); its tails are within the limits
    assert actions.mean() == pytest.approx(0.2, abs=0.03)
    assert actions.std() == pytest.approx(math.sqrt(temperature / curvature), rel=0.1)


def test_the_temperature_is_tuned_until_the_entropy_is_what_was_asked_for() -> None:
    wanted = -0.8
    options = SacOptions((32, 32), learning_rate=3e-3, target_entropy=wanted, temperature=0.3)
    agent = SoftActorCritic(1, np.array([-1.0]), np.array([1.0]), 0, options)
    bandit(agent, 10.0, 0.0, 1000)
    _, density = drawn(agent)
    assert -density.mean() == pytest.approx(wanted, abs=0.1)
    # a Gaussian of that entropy has ½ ln(2πe α/c) = H̄
    assert agent.temperature == pytest.approx(10.0 * math.exp(2.0 * wanted) / (2.0 * math.pi * math.e), rel=0.25)


def test_the_density_of_a_squashed_action_is_that_of_a_change_of_variables() -> None:
    for mean, deviation in ((0.3, 0.5), (-1.2, 1.5), (2.5, 0.1)):
        a = np.tanh(mean + deviation * np.linspace(-2.0, 2.0, 9))
        step = 1e-6 * (1.0 - np.abs(a))
        slope = (np.arctanh(a + step) - np.arctanh(a - step)) / (2.0 * step)
        expected = norm.logpdf(np.arctanh(a), mean, deviation) + np.log(slope)
        y = torch.tensor(np.arctanh(a))[:, None]
        found = log_density((y - mean) / deviation, torch.full_like(y, math.log(deviation)), y)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-6)

        def density(value: float, mean: float = mean, deviation: float = deviation) -> float:
            y = torch.atanh(torch.tensor([[value]], dtype=torch.float64))
            return float(log_density((y - mean) / deviation, torch.full_like(y, math.log(deviation)), y).exp())

        assert quad(density, -1.0, 1.0, points=[math.tanh(mean)], limit=400)[0] == pytest.approx(1.0, abs=1e-5)
    far = torch.tensor([[40.0]])
    assert torch.isfinite(log_density(torch.zeros(1, 1), torch.zeros(1, 1), far)).all()


def test_the_density_of_what_was_drawn_is_that_of_the_distribution() -> None:
    agent = SoftActorCritic(3, LOWER, UPPER, 1)
    x = np.random.default_rng(0).normal(size=(50, 3))
    mean, log_std = (part.numpy() for part in agent.distribution(torch.as_tensor(x, dtype=agent.dtype)))
    u, density = agent.random_action(x)
    a = (u - 0.5 * (LOWER + UPPER)) / (0.5 * (UPPER - LOWER))
    # of one that is not all but a limit; there float32 does not tell the two apart
    inner = (np.abs(a) < 0.99).all(axis=1)
    assert inner.sum() > 25 and (np.abs(a) <= 1.0).all()
    a, mean, log_std = a[inner], mean[inner], log_std[inner]
    expected = (norm.logpdf(np.arctanh(a), mean, np.exp(log_std)) - np.log(1.0 - a**2)).sum(axis=1)
    np.testing.assert_allclose(density[inner], expected, rtol=1e-3, atol=1e-3)


def networks(agent: SoftActorCritic) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Parameters of actor, critics and target critics, for automatic differentiation."""
    stacks = agent._actor, agent._critics, agent._targets
    return tuple([part.clone().requires_grad_() for part in stack.layers] for stack in stacks)


def values(agent: SoftActorCritic, layers: list[torch.Tensor], x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    z = torch.cat([agent._offset + x * agent._factor, a], dim=1)
    return stacked_outputs(layers, z.expand(2, -1, -1), torch.relu)[:, :, 0]


def policy(agent: SoftActorCritic, layers: list[torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """a and ln π(a|x) by torch's own distributions, with the agent's next noise."""
    y = stacked_outputs(layers, (agent._offset + x * agent._factor)[None], torch.relu)[0]
    low, high = LOG_STD
    deviation = torch.exp(low + 0.5 * (high - low) * (1.0 + torch.tanh(y[:, agent.m :])))
    base = Normal(y[:, : agent.m], deviation)
    pre = base.mean + deviation * torch.randn(deviation.shape, generator=agent._generator, dtype=agent.dtype)
    density = TransformedDistribution(base, [TanhTransform(cache_size=1)])
    a = density.transforms[0](pre)
    return a, density.log_prob(a).sum(dim=1)


def test_gradients_of_actor_and_critics_are_those_of_automatic_differentiation(monkeypatch) -> None:
    monkeypatch.setattr(SoftActorCritic, "dtype", torch.float64)
    agent = SoftActorCritic(3, LOWER, UPPER, 1, SacOptions((9, 7)))
    agent.standardise(np.array([0.1, -0.3, 0.0]), np.array([2.0, 0.5, 1.0]))
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(30, 3, generator=generator, dtype=torch.float64)
    a = 2.0 * torch.rand(30, 2, generator=generator, dtype=torch.float64) - 1.0
    wanted, weights = (torch.rand(30, generator=generator, dtype=torch.float64) for _ in range(2))
    actor, critics, targets = networks(agent)
    loss = 0.5 * (weights * (values(agent, critics, x, a) - wanted).square()).mean(dim=1).sum()
    expected = torch.cat([part.flatten() for part in torch.autograd.grad(loss, critics)])
    torch.testing.assert_close(agent._critic_gradient(x, a, wanted, weights), expected, rtol=1e-9, atol=1e-12)
    state = agent._generator.get_state()
    drawn, density = policy(agent, actor, x)
    loss = (agent.temperature * density - values(agent, critics, x, drawn).amin(dim=0)).mean()
    expected = torch.cat([part.flatten() for part in torch.autograd.grad(loss, actor)])
    agent._generator.set_state(state)
    gradient, found = agent._actor_gradient(x)
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-11)
    torch.testing.assert_close(found, density.detach(), rtol=1e-8, atol=1e-8)
    # V is of the smaller target critic, less the price of being sure
    with torch.no_grad():
        for part in agent._targets.layers:
            part *= 1.1
        agent._generator.set_state(state)
        smaller = values(agent, [1.1 * part for part in targets], x, drawn).amin(dim=0)
    expected = smaller - agent.temperature * density
    torch.testing.assert_close(agent.soft_values(x), expected.detach(), rtol=1e-9, atol=1e-9)


def test_other_scales_of_the_states_change_nothing_of_what_was_learned() -> None:
    agent = SoftActorCritic(1, np.array([-1.0]), np.array([1.0]), 0, SacOptions((16,)))
    agent.standardise(np.array([0.4]), np.array([0.2]))
    bandit(agent, 1.0, 0.0, 5)
    x = np.linspace(-2.0, 2.0, 20)[:, None]
    state = agent._generator.get_state()
    before = agent.mean_action(x), agent.soft_values(torch.as_tensor(x, dtype=agent.dtype))
    agent.standardise(np.array([-1.0]), np.array([3.0]))
    agent._generator.set_state(state)
    np.testing.assert_allclose(agent.mean_action(x), before[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        agent.soft_values(torch.as_tensor(x, dtype=agent.dtype)), before[1], rtol=1e-4, atol=1e-4
    )


def test_adam_goes_where_that_of_torch_goes() -> None:
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(20, generator=generator, dtype=torch.float64)
    ours, theirs = start.clone(), start.clone().requires_grad_()
    adam, reference = Adam(ours, 0.01), torch.optim.Adam([theirs], lr=0.01)
    for _ in range(25):
        gradient = torch.randn(20, generator=generator, dtype=torch.float64)
        adam.step(gradient)
        theirs.grad = gradient
        reference.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-12)


def test_noise_that_is_given_is_that_of_the_action() -> None:
    agent = SoftActorCritic(2, LOWER, UPPER, 4)
    states, noise = np.random.default_rng(5).normal(size=(2, 7, 2))
    mean, log_std = (part.numpy() for part in agent.distribution(torch.as_tensor(states, dtype=torch.float32)))
    actions, density = agent.random_action(states, noise)
    y = mean + np.exp(log_std) * noise
    np.testing.assert_allclose(actions, 0.5 * (LOWER + UPPER) + 0.5 * (UPPER - LOWER) * np.tanh(y), atol=1e-5)
    slope = np.log1p(-np.square(np.tanh(y)))
    np.testing.assert_allclose(density, (norm.logpdf(noise) - log_std - slope).sum(axis=1), atol=1e-4)


def test_no_value_is_above_the_best_real_reward_and_the_most_entropy_for_ever() -> None:
    agent = SoftActorCritic(1, LOWER, UPPER, 0, SacOptions(discount=0.9, temperature=0.1))
    agent.reward_unit = 2.0
    agent.begin_at(100.0)
    states = torch.linspace(-1.0, 1.0, 20)[:, None]
    assert (agent.soft_values(states) > 90.0).all()
    bonus = 0.1 * 2.0 * math.log(2.0)
    for reward in (-8.0, -4.0, -6.0):
        agent.paid(reward, ended=False)
    # the best of them, in the unit; 1 / (1 − γ) = 10
    np.testing.assert_allclose(agent.soft_values(states).numpy(), 10.0 * (-2.0 + bonus), rtol=1e-6)
    # an end for good is worth more than to be paid so for ever
    agent.paid(-7.0, ended=True)
    np.testing.assert_allclose(agent.soft_values(states).numpy(), -2.0 + bonus, rtol=1e-6)
    agent.paid(6.0, ended=True)
    np.testing.assert_allclose(agent.soft_values(states).numpy(), 10.0 * (3.0 + bonus), rtol=1e-6)
    # what is below stays as it is
    agent.paid(1e3, ended=False)
    assert (agent.soft_values(states) > 90.0).all()


def test_target_critics_follow_by_their_part_of_the_way() -> None:
    options = SacOptions((8,), follow=0.25)
    agent = SoftActorCritic(1, np.array([-1.0]), np.array([1.0]), 0, options)
    before = agent._targets.vector.clone()
    bandit(agent, 1.0, 0.0, 1)
    torch.testing.assert_close(agent._targets.vector, before + 0.25 * (agent._critics.vector - before))
    assert not torch.equal(before, agent._critics.vector)


def test_the_actor_that_is_judged_has_the_mean_weights_of_those_that_learned() -> None:
    agents = [
        SoftActorCritic(1, np.array([-1.0]), np.array([1.0]), 0, SacOptions((16,), average=a)) for a in (0.04, 1.0)
    ]
    learned = []
    for seed in range(25):
        for agent in agents:
            bandit(agent, 2.0, 0.1, 1, seed)
        learned.append(agents[0]._actor.vector.clone())
    # one in 25 is the share from which on older ones fade
    torch.testing.assert_close(agents[0]._mean_actor.vector, torch.stack(learned).mean(dim=0))
    torch.testing.assert_close(agents[1]._mean_actor.vector, learned[-1])


def test_the_same_seed_gives_the_same_bits() -> None:
    found = []
    for seed in (3, 3, 4):
        agent = SoftActorCritic(1, np.array([-1.0]), np.array([1.0]), seed, SacOptions((16,)))
        bandit(agent, 2.0, 0.1, 30)
        found.append(drawn(agent, 50)[0].tobytes())
    assert found[0] == found[1] != found[2]


def test_the_actor_goes_into_a_policy_that_says_the_same(tmp_path) -> None:
    agent = SoftActorCritic(3, LOWER, UPPER, 5, SacOptions((16, 12)))
    rng = np.random.default_rng(1)
    agent.standardise(rng.normal(size=3), rng.uniform(0.3, 3.0, 3))
    block = StateBlock("joint_positions", ("a", "b", "c"), ("euclidean",) * 3, ("m",) * 3)
    action = ActionDefinition(("m", "n"), ("m", "n"), "effort", ("N", "N"), LOWER, UPPER)
    policy = agent.policy(StateDefinition((block,)), action, 0.04, np.array([0.1, 0.2]), task="here")
    x = rng.normal(size=(60, 3))
    np.testing.assert_allclose(policy.means(x), agent.mean_action(x), rtol=1e-4, atol=1e-4)
    loaded = GaussianPolicy.load(policy.save(tmp_path / "actor.npz"))
    mean, jacobian, covariance = loaded.linearize(x[0])
    step = 1e-5 * np.eye(3)
    slope = (policy.means(x[0] + step) - policy.means(x[0] - step)).T / 2e-5
    np.testing.assert_allclose(jacobian, slope, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(covariance, np.diag([0.01, 0.04]))
    turned = StateBlock("joint_positions", ("a", "b", "c"), ("euclidean", "angle", "euclidean"), ("m", "rad", "m"))
    with pytest.raises(InvalidFieldError, match="3 plain numbers"):
        agent.policy(StateDefinition((turned,)), action, 0.04, np.ones(2))
    other = ActionDefinition(("m", "n"), ("m", "n"), "effort", ("N", "N"), LOWER, UPPER + 1.0)
    with pytest.raises(InvalidFieldError, match="action"):
        agent.policy(StateDefinition((block,)), other, 0.04, np.ones(2))


@pytest.mark.parametrize(
    ("name", "value"),
    [("discount", 1.0), ("follow", 0.0), ("temperature", -1.0), ("target_entropy", math.inf), ("hidden", (0,))],
)
def test_an_option_that_means_nothing_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidFieldError, match=name):
        SacOptions(**{name: value})
