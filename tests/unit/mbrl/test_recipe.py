"""The gradient of the general recipe, by enumeration of all that can happen in a small decision process."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, Indices
from mbpl_control.mbrl.imagination import Imagined
from mbpl_control.mbrl.recipe import recipe_gradient

STATES, ACTIONS, DISCOUNT = 3, 2, 0.7
#: γ^LAST is below the rounding of a sum
LAST = 100
RNG = np.random.default_rng(5)
#: p(x'|x, u), r(x, u, x'), p(x_0), and θ of π(u|x) ∝ exp θ_xu; the last state ends an episode
P = RNG.dirichlet(np.ones(STATES), size=(STATES, ACTIONS))
R = RNG.normal(size=(STATES, ACTIONS, STATES))
START = np.array([0.6, 0.4, 0.0])
THETA = torch.tensor(RNG.normal(size=STATES * ACTIONS))
END = STATES - 1


def probabilities(theta: Tensor) -> Tensor:
    return torch.softmax(theta.reshape(STATES, ACTIONS), dim=1)


def log_density(theta: Tensor, states: Tensor, actions: Tensor) -> Tensor:
    return torch.log(probabilities(theta))[states[:, 0].long(), actions[:, 0].long()]


def values(theta: Tensor, model: Array = P) -> Tensor:
    """V, by the linear equations it solves; that of the end is zero."""
    pi, p = probabilities(theta), torch.tensor(model)
    chain = torch.einsum("xu,xuy->xy", pi, p)
    chain = torch.cat([chain[:END], torch.zeros(1, STATES, dtype=chain.dtype)])
    reward = torch.einsum("xu,xuy,xuy->x", pi, p, torch.tensor(R))
    reward = torch.cat([reward[:END], torch.zeros(1, dtype=reward.dtype)])
    goes_on = chain.clone()
    goes_on[:, END] = 0.0
    return torch.linalg.solve(torch.eye(STATES, dtype=chain.dtype) - DISCOUNT * goes_on, reward)


def true_gradient() -> Tensor:
    theta = THETA.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(torch.tensor(START) @ values(theta), theta)
    return gradient


def enumerated(length: int, model: Array) -> tuple[Imagined, Indices, Array]:
    """Every branch of so many steps from every state at every time, with its probability."""
    pi = probabilities(THETA).numpy()
    chain = np.einsum("xu,xuy->xy", pi, P)
    paths = []
    for path in itertools.product(range(STATES), *[range(ACTIONS), range(STATES)] * length):
        x, u = np.array(path[0::2]), np.array(path[1::2])
        alive = np.cumprod(np.concatenate([[True], x[1:-1] != END])).astype(bool)
        if x[0] == END or (u[~alive] > 0).any() or (x[1:][~alive] != END).any():
            continue
        odds = np.where(alive, pi[x[:-1], u] * model[x[:-1], u, x[1:]], 1.0).prod()
        paths.append((x, u, alive, R[x[:-1], u, x[1:]], odds))
    x, u, alive, r, odds = (np.array(part) for part in zip(*paths, strict=True))
    marginal, times, weights = START.copy(), [], []
    for time in range(LAST):
        times.append(np.full(len(x), time))
        weights.append(marginal[x[:, 0]] * odds)
        marginal = np.where(np.arange(STATES) < END, marginal, 0.0) @ chain
    branches = Imagined(
        np.tile(x.T, LAST)[:, :, None].astype(float),
        np.tile(u.T, LAST)[:, :, None].astype(float),
        np.zeros((length, LAST * len(x))),
        np.tile(r.T, LAST),
        np.tile((x[:, 1:] == END).T, LAST),
        np.tile(alive.T, LAST),
    )
    return branches, np.concatenate(times), np.concatenate(weights)


def gradient_of(length: int, model: Array = P, bias: float = 0.0) -> Tensor:
    branches, times, weights = enumerated(length, model)
    critic = values(THETA).numpy() + bias * np.array([1.0, -0.5, 0.0])
    at = critic[branches.states[:, :, 0].astype(int)]
    return recipe_gradient(log_density, THETA, branches, times, at, DISCOUNT, weights)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_with_an_exact_model_and_an_exact_critic_at_the_end_it_is_the_gradient_itself(length: int) -> None:
    torch.testing.assert_close(gradient_of(length), true_gradient(), rtol=1e-10, atol=1e-12)


def test_a_wrong_model_costs_more_the_longer_it_is_followed_and_a_wrong_critic_less() -> None:
    wrong = 0.7 * P + 0.3 * np.random.default_rng(6).dirichlet(np.ones(STATES), size=(STATES, ACTIONS))
    of_model = [float((gradient_of(k, model=wrong) - true_gradient()).norm()) for k in (1, 2, 3)]
    of_critic = [float((gradient_of(k, bias=0.5) - true_gradient()).norm()) for k in (1, 2, 3)]
    assert 0.0 < of_model[0] < of_model[1] < of_model[2]
    assert of_critic[0] > of_critic[1] > of_critic[2] > 0.0


def test_whole_episodes_count_as_many_as_begin_at_zero() -> None:
    branches, times, _ = enumerated(2, P)
    at = values(THETA).numpy()[branches.states[:, :, 0].astype(int)]
    one = recipe_gradient(log_density, THETA, branches, times, at, DISCOUNT)
    share = np.full(len(times), 1.0 / np.sum(times == 0))
    torch.testing.assert_close(one, recipe_gradient(log_density, THETA, branches, times, at, DISCOUNT, share))
    with pytest.raises(InvalidFieldError, match="times: found none that is 0"):
        recipe_gradient(log_density, THETA, branches, times + 1, at, DISCOUNT)
    with pytest.raises(InvalidFieldError, match="times, values"):
        recipe_gradient(log_density, THETA, branches, times[:-1], at, DISCOUNT)
