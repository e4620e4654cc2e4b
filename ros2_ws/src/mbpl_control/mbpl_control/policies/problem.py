"""The supervised problem of guided policy search: agree with Gaussians, each as precisely as it is sure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.policies.network import PolicyNetwork
from mbpl_control.policies.policy import GaussianPolicy
from mbpl_control.policies.targets import PolicyTargets


class PolicyProblem:
    r"""min_θ Σ_i w_i l_i / Σ_i w_i over the targets N(μ_i, Λ_i⁻¹).

    With a constant covariance, which has its own closed form, what is left of KL(π_θ ‖ target) is the mean's part:

        l_i = ½ a (μ_θ(o_i) − μ_i)ᵀ Λ_i (μ_θ(o_i) − μ_i),   a = m Σ w / Σ w_i tr(S Λ_i S),   S = diag(action scale)

    The factor a makes the mean precision of an action, in units of its scale, one: neither the units of the actions nor
    how sure the controllers are by now changes what a learning rate means. With a state-dependent one it is all of

        l_i = KL( π_θ(·|o_i) ‖ N(μ_i, Λ_i⁻¹) )
            = ½ ( tr(Λ_i Σ_θ) + (μ_θ − μ_i)ᵀ Λ_i (μ_θ − μ_i) − m − log|Λ_i| ) − Σ_j log d_j

    Args:
        policy: with its scales and its Σ as they are in training.
        targets: at least one of a weight above zero.
        normalisation: a, when it is not to be that of these targets.

    Attributes:
        network: functions of the parameters.
        inputs: network inputs (B, nf).
        normalisation: a, in both kinds.

    Raises:
        InvalidFieldError: the covariance is state-dependent and a precision singular.

    Source: Levine and Abbeel 2014, section 5; Levine, Finn et al. 2016, "End-to-end training of deep visuomotor
    policies", section 4.
    """

    def __init__(self, policy: GaussianPolicy, targets: PolicyTargets, normalisation: float | None = None) -> None:
        """Take everything over into torch."""
        self.network = PolicyNetwork(policy)
        self.inputs = torch.tensor(policy.standardise(targets.observations))
        weights = targets.weights / targets.weights.mean()
        if normalisation is None:
            trace = np.sum(np.diag(targets.mean_precision()) * policy.action_scale**2)
            normalisation = float(policy.action.size / trace)
        self.normalisation = normalisation
        # what makes the state-dependent loss a KL is that nothing is scaled
        self._factor = 1.0 if self.network.state_dependent else normalisation
        self._scale = torch.tensor(policy.action_scale)
        self._weights = torch.tensor(weights)
        self._means = torch.tensor(targets.means)
        self._precisions = torch.tensor(targets.precisions)
        if self.network.state_dependent:
            try:
                factors = np.linalg.cholesky(targets.precisions)
            except np.linalg.LinAlgError as error:
                allowed = "positive definite, for a state-dependent covariance"
                raise InvalidFieldError("PolicyTargets", "precisions", "a singular matrix", allowed) from error
            self._log_dets = torch.tensor(2.0 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1))

    @property
    def count(self) -> int:
        """B."""
        return int(self.inputs.shape[0])

    def heads(self, parameters: Tensor) -> Tensor:
        """h at all observations. (P,) → (B, k)."""
        return self.network.heads(self.network.layers(parameters), self.inputs)

    def loss(self, layers: Sequence[Tensor], rows: Tensor | None = None) -> Tensor:
        """The objective, on all targets or on those of some rows."""
        picked = slice(None) if rows is None else rows
        h = self.network.heads(layers, self.inputs[picked])
        m = self.network.m
        precisions = self._precisions[picked]
        error = h[:, :m] - self._means[picked]
        each = 0.5 * self._factor * (torch.bmm(precisions, error[:, :, None])[:, :, 0] * error).sum(dim=1)
        if self.network.state_dependent:
            factors = self.network.factors(h)
            spread = (torch.bmm(precisions, factors) * factors).sum(dim=(1, 2)) - m - self._log_dets[picked]
            each = each + 0.5 * spread - h[:, m : 2 * m].sum(dim=1)
        return (self._weights[picked] * each).mean()

    def mean_kl(self, before: Tensor, parameters: Tensor) -> float:
        """Weighted mean of KL(before ‖ after), nats, from h (B, k) before and θ (P,) after."""
        return float((self._weights * self.network.kl(before, self.heads(parameters))).mean())

    def metric(self, h: Tensor, of_targets: bool) -> Callable[[Tensor], Tensor]:
        """v ↦ M v at h, with the weights of the mean in it. (B, k) → (B, k).

        Args:
            h: where (B, k).
            of_targets: whether the block of the means is Λ_i rather than the policy's own Σ⁻¹. Then F is the
                Gauss-Newton matrix of the means' part of the loss.
        """
        weights = (self._weights / self.count)[:, None]
        fisher = self.network.fisher(h)
        m = self.network.m

        def product(v: Tensor) -> Tensor:
            out = fisher(v)
            if of_targets:
                out = torch.cat([torch.bmm(self._precisions, v[:, :m, None])[:, :, 0], out[:, m:]], dim=1)
            return weights * out

        return product

    def solve_last_layer(self, parameters: Tensor, ridge: float) -> Tensor:
        r"""θ with the weights of the means in the last layer at their optimum given the layers before. (P,) → (P,).

        The loss is quadratic in them: W minimises

            Σ_i w_i/B ½ (S W h_i − μ_i)ᵀ a Λ_i (S W h_i − μ_i) + ½ ρ ‖W − W₀‖²,   h_i with a 1 for the bias,

        one linear system of m (units + 1) unknowns, since Λ_i couples the actions. ρ is `ridge` times the mean of the
        quadratic form's diagonal. Pulling towards the present W₀ instead of zero, it never raises the loss, and what
        no sample tells about stays as it is.

        Raises:
            InvalidFieldError: the policy is squashed; its loss is not quadratic in the last layer.
        """
        if self.network.squashed:
            raise InvalidFieldError("PolicyTrainer", "solve_last_layer", "True", "False for a policy that is squashed")
        layers = self.network.layers(parameters)
        hidden = self.network.hidden(layers, self.inputs)
        h = torch.cat([hidden, hidden.new_ones(self.count, 1)], dim=1)
        m, units = self.network.m, h.shape[1]
        present = torch.cat([layers[-2][:m], layers[-1][:m, None]], dim=1)
        precisions = self.normalisation * (self._weights / self.count)[:, None, None] * self._precisions
        precisions = self._scale[:, None] * precisions * self._scale
        # Σ_i Λ_i ⊗ h_i h_iᵀ, one block of two actions at a time
        hessian = torch.empty(m, units, m, units, dtype=h.dtype)
        for i in range(m):
            for j in range(i, m):
                block = (h * precisions[:, i, j, None]).T @ h
                hessian[i, :, j, :] = block
                hessian[j, :, i, :] = block
        rest = self._means / self._scale - h @ present.T
        gradient = (torch.bmm(precisions, rest[:, :, None])[:, :, 0]).T @ h
        matrix = hessian.reshape(m * units, m * units)
        rho = ridge * float(matrix.diagonal().mean())
        matrix = matrix + rho * torch.eye(m * units, dtype=h.dtype)
        change = torch.linalg.solve(matrix, gradient.reshape(-1)).reshape(m, units)
        solved = parameters.clone()
        views = self.network.layers(solved)
        views[-2][:m] += change[:, :-1]
        views[-1][:m] += change[:, -1]
        return solved
