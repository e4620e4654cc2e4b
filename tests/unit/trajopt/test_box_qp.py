"""Projected Newton against scipy, and against the conditions of Karush, Kuhn and Tucker."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from mbpl_control.trajopt.riccati_kernels import box_qp, factor, solve_factored


def solve(
    h: np.ndarray, g: np.ndarray, low: np.ndarray, high: np.ndarray, start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Solution and which variables are free; the programme must be solvable."""
    x = np.zeros(len(g)) if start is None else start.copy()
    free = np.zeros(len(g), dtype=bool)
    assert box_qp(h, g, low, high, x, free)
    return x, free


def random_programme(seed: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(m, m))
    return root @ root.T + 0.05 * np.eye(m), 3.0 * rng.normal(size=m), -rng.uniform(0.1, 1, m), rng.uniform(0.1, 1, m)


@pytest.mark.parametrize("m", [1, 2, 7])
@pytest.mark.parametrize("seed", range(8))
def test_the_solution_is_scipys(seed: int, m: int) -> None:
    h, g, low, high = random_programme(seed, m)
    x, _ = solve(h, g, low, high)
    reference = minimize(
        lambda v: 0.5 * v @ h @ v + g @ v,
        np.zeros(m),
        jac=lambda v: h @ v + g,
        bounds=list(zip(low, high, strict=True)),
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    np.testing.assert_allclose(x, reference.x, atol=1e-6)
    assert 0.5 * x @ h @ x + g @ x <= reference.fun + 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_free_variables_have_no_gradient_and_held_ones_are_pushed_outwards(seed: int) -> None:
    h, g, low, high = random_programme(seed, 6)
    x, free = solve(h, g, low, high)
    gradient = h @ x + g
    assert np.abs(gradient[free]).max(initial=0.0) < 1e-9
    held = ~free
    assert np.all((x[held] == low[held]) | (x[held] == high[held]))
    assert np.all(gradient[held & (x == low)] > 0.0)
    assert np.all(gradient[held & (x == high)] < 0.0)


def test_the_solution_does_not_depend_on_the_start() -> None:
    h, g, low, high = random_programme(5, 5)
    rng = np.random.default_rng(0)
    found = [solve(h, g, low, high, rng.uniform(-5, 5, 5))[0] for _ in range(6)]
    np.testing.assert_allclose(found, np.tile(found[0], (6, 1)), atol=1e-10)


def test_without_limits_it_is_newtons_step() -> None:
    h, g, _, _ = random_programme(2, 4)
    wide = np.full(4, np.inf)
    x, free = solve(h, g, -wide, wide)
    np.testing.assert_allclose(x, -np.linalg.solve(h, g), rtol=1e-10)
    assert free.all()


def test_curvature_that_is_not_positive_on_the_free_variables_is_told() -> None:
    x, free = np.zeros(2), np.zeros(2, dtype=bool)
    assert not box_qp(np.diag([1.0, -1.0]), np.array([0.1, 0.0]), -np.ones(2), np.ones(2), x, free)


@pytest.mark.parametrize("n", [1, 3, 8])
def test_factor_and_solution_are_those_of_numpy(n: int) -> None:
    rng = np.random.default_rng(n)
    root = rng.normal(size=(n, n))
    matrix, right = root @ root.T + np.eye(n), rng.normal(size=(n, 4))
    lower, x = matrix.copy(), right.copy()
    assert factor(lower, n)
    np.testing.assert_allclose(np.tril(lower), np.linalg.cholesky(matrix), rtol=1e-12, atol=1e-12)
    solve_factored(lower, n, x)
    np.testing.assert_allclose(x, np.linalg.solve(matrix, right), rtol=1e-9)


def test_a_matrix_of_rank_one_has_no_factor_whatever_its_scale() -> None:
    v = np.array([1.0, 1.0 / 3.0])
    for scale in (1e-12, 1.0, 1e12):
        assert not factor(scale * np.outer(v, v), 2)
