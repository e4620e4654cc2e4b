"""The general recipe for a policy gradient: short rollouts in a model from where the policy really went."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, Indices
from mbpl_control.mbrl.expansion import expanded_targets
from mbpl_control.mbrl.imagination import Imagined
from mbpl_control.policies.network import one_thread

#: θ (P,), x (B, n), u (B, m) → ln π_θ(u|x) (B,).
LogDensity = Callable[[Tensor, Tensor, Tensor], Tensor]


def recipe_gradient(
    log_density: LogDensity,
    parameters: Tensor,
    branches: Imagined,
    times: Indices,
    values: Array,
    discount: float,
    weights: Array | None = None,
) -> Tensor:
    r"""∇_θ E Σ_s γ^s r_s from rollouts of k steps that branch off at every step τ of real episodes of the policy.

        Σ_b w_b Σ_{t<k} γ^{τ+t} / n_{τ+t} ∇ ln π_θ(u_t | x_t) ( Ĝ_t − V(x_t) ),   n_s = min(s + 1, k)
        Ĝ_t = Σ_{t≤i<k} γ^{i−t} r_i + γ^{k−t} V(x_k)

    Step s of an episode is come to by n_s rollouts, those that branched off up to k − 1 steps before it. Where the
    model is exact, each comes to it with the policy's own distribution of x_s, and where V is exact at x_k, Ĝ_t has the
    mean Q(x_t, u_t): then this is the gradient itself, for every k. V at x_t takes away variance, whatever it is.

    Args:
        log_density: ln π_θ.
        parameters: θ (P,), which the branches were imagined with.
        branches: B rollouts of k steps.
        times: τ of each (B,).
        values: V at the states of the branches (k + 1, B).
        discount: γ.
        weights: w (B,); one over the number of episodes, which branches at τ = 0 tell, when None.

    Returns:
        (P,), to be followed upwards.

    Raises:
        InvalidFieldError: shapes that do not fit, or no branch at τ = 0.

    Source: Sutton, McAllester, Singh, Mansour 2000, "Policy gradient methods for reinforcement learning with function
    approximation"; rollouts from states that were really seen: Janner et al. 2019.
    """
    length, count = branches.rewards.shape
    if np.shape(times) != (count,) or np.shape(values) != (length + 1, count):
        found = f"shapes {np.shape(times)}, {np.shape(values)}"
        raise InvalidFieldError("recipe_gradient", "times, values", found, f"({count},), ({length + 1}, {count})")
    if weights is None:
        episodes = int(np.sum(times == 0))
        if not episodes:
            raise InvalidFieldError("recipe_gradient", "times", "none that is 0", "those of whole episodes")
        weights = np.full(count, 1.0 / episodes)
    targets = expanded_targets(branches.rewards, branches.ended, values[-1], discount)
    when = times + np.arange(length)[:, None]
    scale = weights * branches.alive * discount**when / np.minimum(when + 1, length)
    along = torch.as_tensor((scale * (targets - values[:-1])).ravel())
    states = torch.as_tensor(branches.states[:-1].reshape(length * count, -1))
    actions = torch.as_tensor(branches.actions.reshape(length * count, -1))
    theta = parameters.detach().clone().requires_grad_()
    with one_thread():
        (gradient,) = torch.autograd.grad(along @ log_density(theta, states, actions), theta)
    return gradient
