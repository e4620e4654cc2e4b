"""Derivatives along a path: they grow or vanish as the closed loop's eigenvalues say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.mbrl.closed_loop import ClosedLoop, roll_out
from mbpl_control.mbrl.horizon import gradients_by_horizon, path_sensitivities

ROTATION = torch.tensor([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
WEIGHTS = torch.tensor([0.6, -0.8], dtype=torch.float64)


@pytest.mark.parametrize("radius", [0.9, 1.0, 1.1], ids=["contracting", "neutral", "expanding"])
def test_a_derivative_along_a_path_is_a_power_of_the_spectral_radius(radius: float) -> None:
    # A + BK = ρ times a rotation, cost a line of length one at the end
    gain = torch.tensor([0.3, -0.2], dtype=torch.float64)
    b = torch.tensor([[0.5], [1.0]], dtype=torch.float64)
    a = radius * ROTATION - b @ gain[None]
    loop = ClosedLoop(
        lambda theta, x: ((theta @ x)[None], torch.full((1,), 0.1, dtype=x.dtype)),
        lambda x, u: (a @ x + b @ u, 0.2 * torch.ones_like(x)),
        lambda x, u: 0.0 * x[0],
        lambda x: WEIGHTS @ x,
    )
    steps = 60
    rollouts = roll_out(loop, gain, torch.ones(5, 2, dtype=torch.float64), steps, torch.Generator().manual_seed(0))
    found = path_sensitivities(loop, gain, rollouts)
    expected = radius ** torch.arange(steps, -1, -1, dtype=torch.float64)
    torch.testing.assert_close(found, expected[:, None].expand(-1, 5), rtol=1e-10, atol=0.0)


def test_a_derivative_along_a_bent_path_is_that_by_finite_differences() -> None:
    loop = ClosedLoop(
        lambda theta, x: (torch.tanh(theta @ x)[None], (0.1 * (1.0 + x[0] ** 2))[None]),
        lambda x, u: (torch.stack([x[0] + 0.3 * torch.sin(x[1]), x[1] + u[0]]), 0.05 * (1.0 + x.square())),
        lambda x, u: x[0],
        lambda x: torch.cos(x[0]) + x[1] ** 2,
    )
    theta, start = torch.tensor([0.4, -0.3], dtype=torch.float64), torch.tensor([[0.5, 0.2]], dtype=torch.float64)

    def end(x: Tensor) -> float:
        return float(roll_out(loop, theta, x, 7, torch.Generator().manual_seed(1)).costs[-1])

    slope = [(end(start + h) - end(start - h)) / 2e-6 for h in 1e-6 * torch.eye(2, dtype=torch.float64)]
    rollouts = roll_out(loop, theta, start, 7, torch.Generator().manual_seed(1))
    assert float(path_sensitivities(loop, theta, rollouts)[0, 0]) == pytest.approx(np.linalg.norm(slope), rel=1e-6)


@pytest.mark.parametrize("rate", [0.9, 1.1], ids=["contracting", "expanding"])
def test_the_variance_of_a_pathwise_gradient_grows_as_its_closed_form(rate: float) -> None:
    # x' = ρ x + θ + s ε, cost ½ x_T²: one particle says x_T g, g = (1 − ρ^T) / (1 − ρ), and x_T varies with its noise
    theta, noise, count = torch.tensor([0.2], dtype=torch.float64), 0.3, 4000
    loop = ClosedLoop(
        lambda p, x: (p + 0.0 * x, torch.zeros_like(x)),
        lambda x, u: (rate * x + u, noise * torch.ones_like(x)),
        lambda x, u: 0.0 * x[0],
        lambda x: 0.5 * x[0] ** 2,
    )
    horizons = (1, 5, 20, 60)
    starts = torch.ones(count, 1, dtype=torch.float64)
    for found in gradients_by_horizon(loop, theta, starts, horizons, "pathwise", seed=2):
        power = rate**found.horizon
        slope = (1.0 - power) / (1.0 - rate)
        variance = noise**2 * (1.0 - power**2) / (1.0 - rate**2)
        mean = power + 0.2 * slope
        # 5 standard errors of a mean, and of a variance of Gaussians
        assert found.norm == pytest.approx(abs(mean * slope), abs=5.0 * slope * (variance / count) ** 0.5)
        assert found.variance == pytest.approx(slope**2 * variance, rel=5.0 * (2.0 / count) ** 0.5)


def test_an_unknown_estimator_is_named() -> None:
    loop = ClosedLoop(lambda p, x: (p, 0.0 * p), lambda x, u: (x, x), lambda x, u: x[0], lambda x: x[0])
    with pytest.raises(InvalidFieldError, match="estimator"):
        gradients_by_horizon(loop, torch.ones(1), torch.ones(3, 1), (1,), "score", seed=0)
