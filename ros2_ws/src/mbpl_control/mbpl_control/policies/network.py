"""The policy's network in torch, as training sees it: functions of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from mbpl_control.policies.architecture import unflatten
from mbpl_control.policies.covariance_head import SLOPE_RANGE
from mbpl_control.policies.policy import GaussianPolicy


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread inside, so that sums are taken in one order; what was set before comes back after."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class PolicyNetwork:
    r"""The map from parameters θ to what says which Gaussian: h = (μ, log d, N), with Σ = L Lᵀ and L = diag(d) N.

    With a constant covariance h is μ alone, and L that of the policy's Σ. All is differentiable by torch, in float64.

    Args:
        policy: whose architecture, scales and Σ; its parameters are not read.

    Attributes:
        m: actions.
        shapes: (outputs, inputs) of each layer.
        state_dependent: whether h holds log d and N, too.
        squashed: whether μ is kept within the limits of the actions.
        factor: L (m, m) of the policy's Σ.
    """

    def __init__(self, policy: GaussianPolicy) -> None:
        """Take constants over."""
        self.m = policy.action.size
        self.shapes = policy.shapes
        self.state_dependent = policy.architecture.state_dependent
        self._activation = torch.relu if policy.architecture.activation == "relu" else torch.tanh
        self._action_scale = torch.tensor(policy.action_scale)
        self.squashed = policy.architecture.squash != "none"
        self._limits = torch.tensor(policy.action.lower), torch.tensor(policy.action.upper)
        head = policy.covariance_head
        self.factor = torch.linalg.cholesky(torch.tensor(policy.covariance))
        self._log_range = head.log_range
        self._log_scale = torch.tensor(head.log_scale)
        self._slopes = torch.tensor(head.slopes)
        self._below = (torch.as_tensor(head.rows), torch.as_tensor(head.columns))
        features = policy.features
        self._lines, self._angles = torch.as_tensor(features.lines), torch.as_tensor(features.angles)
        self._centre, self._width = torch.tensor(policy.feature_mean), torch.tensor(policy.feature_scale)

    def standardise(self, observations: Tensor) -> Tensor:
        """Network inputs z of observations, as `GaussianPolicy.standardise`. (..., no) → (..., nf)."""
        features = observations
        if len(self._angles):
            angles = observations[..., self._angles]
            features = torch.cat([observations[..., self._lines], torch.sin(angles), torch.cos(angles)], dim=-1)
        return (features - self._centre) / self._width

    def layers(self, parameters: Tensor) -> list[Tensor]:
        """Weights and bias of each layer in turn, as views of θ (P,)."""
        return unflatten(parameters, self.shapes)

    def hidden(self, layers: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """What the last layer is given. (B, nf) → (B, units)."""
        h = inputs
        for weights, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
            h = self._activation(torch.addmm(bias, h, weights.T))
        return h

    def heads(self, layers: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """h of network inputs. (B, nf) → (B, k)."""
        y = torch.addmm(layers[-1], self.hidden(layers, inputs), layers[-2].T)
        m = self.m
        if not self.state_dependent:
            return self._mean(y)
        log_d = self._log_scale + self._log_range * torch.tanh(y[:, m : 2 * m] / self._log_range)
        slopes = self._slopes + SLOPE_RANGE * torch.tanh(y[:, 2 * m :] / SLOPE_RANGE)
        return torch.cat([self._mean(y[:, :m]), log_d, slopes], dim=1)

    def _mean(self, y: Tensor) -> Tensor:
        """μ of the first m numbers that the last layer gives. (B, m) → (B, m)."""
        a = self._action_scale * y
        if not self.squashed:
            return a
        lower, upper = self._limits
        half = 0.5 * (upper - lower)
        return 0.5 * (lower + upper) + half * torch.tanh(a / half)

    def factors(self, h: Tensor) -> Tensor:
        """L. (B, k) → (B, m, m)."""
        if not self.state_dependent:
            return self.factor.expand(h.shape[0], self.m, self.m)
        return torch.exp(h[:, self.m : 2 * self.m, None]) * self._unit_factors(h)

    def kl(self, p: Tensor, q: Tensor) -> Tensor:
        """KL(p ‖ q), nats, of the Gaussians h stands for. (B, k), (B, k) → (B,)."""
        if not self.state_dependent:
            whitened = torch.linalg.solve_triangular(self.factor, (q - p).T, upper=False)
            return 0.5 * whitened.square().sum(dim=0)
        return gaussian_kl(p[:, : self.m], self.factors(p), q[:, : self.m], self.factors(q))

    def fisher(self, h: Tensor) -> Callable[[Tensor], Tensor]:
        r"""v ↦ M v, with the Fisher information M of N(μ, L Lᵀ) in the coordinates h. (B, k) → (B, k).

        The block of the mean is Σ⁻¹. For the rest, with C = diag(v_d) N + v_N and A = N⁻¹ C,

            vᵀ M v = ½ tr( Σ⁻¹ dΣ Σ⁻¹ dΣ ) = ½ ‖A + Aᵀ‖²,   so   ½ ∂(vᵀ M v)/∂C = N⁻ᵀ (A + Aᵀ)

        Args:
            h: where M is taken (B, k).

        Source: Kay 1993, "Fundamentals of statistical signal processing", section 3.9.
        """
        m = self.m
        if not self.state_dependent:
            return lambda v: torch.cholesky_solve(v.T, self.factor).T
        eye = torch.eye(m, dtype=h.dtype).expand(h.shape[0], m, m)
        n = self._unit_factors(h)
        n_inverse = torch.linalg.solve_triangular(n, eye, upper=False, unitriangular=True)
        l_inverse = n_inverse * torch.exp(-h[:, None, m : 2 * m])
        rows, columns = self._below

        def product(v: Tensor) -> Tensor:
            of_mean = l_inverse.mT @ (l_inverse @ v[:, :m, None])
            c = v[:, m : 2 * m, None] * n + self._strictly_lower(v[:, 2 * m :])
            a = n_inverse @ c
            q = n_inverse.mT @ (a + a.mT)
            return torch.cat([of_mean[:, :, 0], (q * n).sum(dim=2), q[:, rows, columns]], dim=1)

        return product

    def _unit_factors(self, h: Tensor) -> Tensor:
        """N. (B, k) → (B, m, m)."""
        return torch.eye(self.m, dtype=h.dtype) + self._strictly_lower(h[:, 2 * self.m :])

    def _strictly_lower(self, entries: Tensor) -> Tensor:
        """Matrices from what is below their diagonals, row by row. (B, m (m − 1) / 2) → (B, m, m)."""
        empty = entries.new_zeros(entries.shape[0], self.m, self.m)
        rows, columns = self._below
        batch = torch.arange(entries.shape[0])[:, None]
        return empty.index_put((batch, rows, columns), entries)


def gaussian_kl(mean_p: Tensor, factor_p: Tensor, mean_q: Tensor, factor_q: Tensor) -> Tensor:
    r"""KL( N(μ_p, L_p L_pᵀ) ‖ N(μ_q, L_q L_qᵀ) ), nats. (B, m), (B, m, m), (B, m), (B, m, m) → (B,).

    With A = L_q⁻¹ L_p:  ½ ( ‖A‖² + ‖L_q⁻¹ (μ_q − μ_p)‖² − m ) − Σ_j log A_jj.
    """
    difference = (mean_q - mean_p)[:, :, None]
    solved = torch.linalg.solve_triangular(factor_q, torch.cat([factor_p, difference], dim=2), upper=False)
    a = solved[:, :, :-1]
    log_det = torch.log(torch.diagonal(a, dim1=1, dim2=2)).sum(dim=1)
    return 0.5 * (solved.square().sum(dim=(1, 2)) - mean_p.shape[1]) - log_det
