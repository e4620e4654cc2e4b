"""What a law of feedback makes of a linearised trajectory, held against one dense system of equations."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.trajopt.feedback_kernels import response, slopes_by_push

STEPS, N, M = 7, 4, 2


@pytest.fixture
def system() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "a": rng.normal(size=(STEPS, N, N)),
        "b": rng.normal(size=(STEPS, N, M)),
        "gains": rng.normal(size=(STEPS, M, N)),
        "lx": rng.normal(size=(STEPS + 1, N)),
        "lu": rng.normal(size=(STEPS, M)),
    }


def maps(a: np.ndarray, b: np.ndarray, gains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(δx_1 .. δx_T) and (δu_0 .. δu_{T−1}) as matrices on all pushes at once: one linear system, solved whole."""
    closed = np.eye(STEPS * N)
    for t in range(1, STEPS):
        closed[t * N : (t + 1) * N, (t - 1) * N : t * N] = -(a[t] + b[t] @ gains[t])
    drive = np.zeros((STEPS * N, STEPS * M))
    for t in range(STEPS):
        drive[t * N : (t + 1) * N, t * M : (t + 1) * M] = b[t]
    x = np.linalg.solve(closed, drive)
    u = np.eye(STEPS * M)
    for t in range(1, STEPS):
        u[t * M : (t + 1) * M] += gains[t] @ x[(t - 1) * N : t * N]
    return x, u


def test_a_response_is_that_of_the_whole_linear_system(system: dict[str, np.ndarray]) -> None:
    pushes = np.random.default_rng(1).normal(size=(STEPS, M))
    x, u = maps(system["a"], system["b"], system["gains"])
    dx, du = response(system["a"], system["b"], pushes, system["gains"])
    np.testing.assert_array_equal(dx[0], 0.0)
    np.testing.assert_allclose(dx[1:].ravel(), (x @ pushes.ravel())[: (STEPS - 1) * N], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(du.ravel(), u @ pushes.ravel(), rtol=1e-10, atol=1e-10)


def test_the_slope_by_a_push_is_that_of_the_whole_linear_system(system: dict[str, np.ndarray]) -> None:
    x, u = maps(system["a"], system["b"], system["gains"])
    expected = system["lx"][1:].ravel() @ x + system["lu"].ravel() @ u
    found = slopes_by_push(system["a"], system["b"], system["lx"], system["lu"], system["gains"])
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-10, atol=1e-10)
