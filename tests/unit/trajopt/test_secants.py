"""Two halves of L-BFGS around another inverse, against the update of the inverse Hessian as a matrix."""

from __future__ import annotations

import numpy as np

from mbpl_control.trajopt.secants import MEMORY, Secants


def positive_definite(rng: np.random.Generator, size: int) -> np.ndarray:
    factor = rng.normal(size=(size, size))
    return factor @ factor.T + np.eye(size)


def direction(secants: Secants, inverse: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    aims, shares = secants.aims(gradient)
    first = -inverse @ aims
    return first + secants.rest(first, shares)


def test_the_direction_is_that_of_the_bfgs_matrix_of_the_newest_pairs() -> None:
    rng = np.random.default_rng(0)
    hessian, start = positive_definite(rng, 7), np.linalg.inv(positive_definite(rng, 7))
    secants, pairs = Secants(), []
    for _ in range(MEMORY + 2):
        gradient = rng.normal(size=7)
        expected = start
        for s, y in pairs[-MEMORY:]:
            rho = 1.0 / (y @ s)
            left = np.eye(7) - rho * np.outer(s, y)
            expected = left @ expected @ left.T + rho * np.outer(s, s)
        np.testing.assert_allclose(direction(secants, start, gradient), -expected @ gradient, rtol=1e-9, atol=1e-10)
        step = rng.normal(size=7)
        pairs.append((step, hessian @ step))
        secants.add(*pairs[-1])
        assert len(secants) == min(len(pairs), MEMORY)


def test_arrays_of_any_shape_are_vectors_and_the_gradient_is_left_as_it_is() -> None:
    rng = np.random.default_rng(1)
    hessian, step = positive_definite(rng, 6), rng.normal(size=6)
    flat, square = Secants(), Secants()
    flat.add(step, hessian @ step)
    square.add(step.reshape(2, 3), (hessian @ step).reshape(2, 3))
    gradient = rng.normal(size=6)
    kept = gradient.copy()
    aims, shares = square.aims(gradient.reshape(2, 3))
    np.testing.assert_array_equal(aims.ravel(), flat.aims(gradient)[0])
    np.testing.assert_allclose(
        square.rest(-aims, shares).ravel(), direction(flat, np.eye(6), gradient) + aims.ravel(), rtol=1e-12
    )
    np.testing.assert_array_equal(gradient, kept)


def test_a_step_without_positive_curvature_teaches_nothing_and_what_is_forgotten_is() -> None:
    secants, step = Secants(), np.array([1.0, 2.0])
    for change in (-step, np.zeros(2), np.array([2.0, -1.0])):
        secants.add(step, change)
        assert len(secants) == 0
    secants.add(step, step)
    secants.forget()
    np.testing.assert_array_equal(direction(secants, np.eye(2), step), -step)
