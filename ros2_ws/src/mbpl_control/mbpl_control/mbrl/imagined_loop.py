"""A policy and learned dynamics of a problem as a closed loop that can be differentiated."""

from __future__ import annotations

import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.mbrl.closed_loop import ClosedLoop, Gaussian
from mbpl_control.mbrl.ensemble import EnsembleDynamics
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.policies.network import PolicyNetwork
from mbpl_control.policies.policy import GaussianPolicy


def imagined_loop(problem: LearningProblem, dynamics: EnsembleDynamics, policy: GaussianPolicy) -> ClosedLoop:
    r"""The loop of N(μ_θ(x), Σ) and the moments of an ensemble.

        x_{t+1} ~ N( E[x' | x, cut(u)], Var[x' | x, cut(u)] )
        c(x, u) = c(x, cut(u), E[x' | x, cut(u)])

    Noise and doubt are drawn anew at each step. What noise takes beyond the limits of an action is cut off, as it is in
    a trial. A state that ends an episode stays, without noise, and costs on.

    Args:
        problem: its cost, limits and ends.
        dynamics: as learned by now; what it learns later counts, too.
        policy: whose architecture, scales and Σ; θ (P,) is an argument of the loop.

    Raises:
        InvalidFieldError: noise of one action that goes with another's, for which a `ClosedLoop` has no place.
    """
    network = PolicyNetwork(policy)
    off_diagonal = policy.covariance[~torch.eye(network.m, dtype=torch.bool).numpy()]
    if off_diagonal.any() or (network.state_dependent and network.m > 1):
        raise InvalidFieldError("imagined_loop", "covariance", "of actions together", "diagonal")
    lower, upper = torch.tensor(problem.lower), torch.tensor(problem.upper)

    def cut(u: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(u, lower), upper)

    def act(theta: Tensor, x: Tensor) -> Gaussian:
        h = network.heads(network.layers(theta), network.standardise(x)[None])
        return h[0, : network.m], torch.diagonal(network.factors(h)[0])

    def model(x: Tensor, u: Tensor) -> Gaussian:
        means, deviations = dynamics.differentiable(x[None], cut(u)[None])
        variance = deviations.square().mean(dim=(0, 1)) + means.var(dim=0, correction=0)[0]
        gone = problem.ended(x[None])[0]
        return torch.where(gone, x, means.mean(dim=(0, 1))), torch.where(gone, torch.zeros_like(x), variance.sqrt())

    def cost(x: Tensor, u: Tensor) -> Tensor:
        return problem.cost(x[None], cut(u)[None], model(x, u)[0][None])[0]

    return ClosedLoop(act, model, cost, lambda x: 0.0 * x[0])
