"""What the tracer knows without computing, and the sine it is given."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from mbpl_control.models.codegen import sine
from mbpl_control.models.codegen.expression import Graph
from mbpl_control.models.codegen.kernel import STRIDE, generate, input_vector
from mbpl_control.models.codegen.pieces import MOST_STORES, cut


def vector(*values: object) -> np.ndarray:
    """An array of expressions."""
    return np.array(values, dtype=object)


def test_what_is_known_costs_nothing() -> None:
    x, y = input_vector(Graph(), "x", 2)
    assert 0.0 * x == 0.0
    assert x + 0.0 is x
    assert 1.0 * x is x
    assert x - x == 0.0
    assert -(-1.0 * x) is x
    assert (-x) * (-y) is x * y
    assert x + (-y) is x - y
    assert -(x - y) is y - x
    assert 2.0 * (3.0 * x) is 6.0 * x
    assert 0.0 / x == 0.0


def test_what_was_written_before_is_not_computed_again() -> None:
    x, y = input_vector(Graph(), "x", 2)
    assert x * y is y * x
    assert x + y is y + x
    assert generate("f", {"x": vector(x, y)}, {"z": vector(x * y + 1.0, y * x - 2.0)}).operations == 3


def test_outputs_may_be_numbers_inputs_and_the_same_twice() -> None:
    x, y = input_vector(Graph(), "x", 2)
    wanted = {"z": vector(3.0, x, x * y, x * y, 3.0, y)}
    for shared, rows in ((True, 4), (False, 6)):
        kernel = generate("f", {"x": vector(x, y)}, wanted, shared)
        found = kernel.evaluate(x=np.array([[2.0, 5.0], [-1.0, 4.0]]))["z"]
        np.testing.assert_array_equal(found, [[3.0, 2.0, 10.0, 10.0, 3.0, 5.0], [3.0, -1.0, -4.0, -4.0, 3.0, 4.0]])
        assert len(set(kernel.outputs["z"].tolist())) == rows


def test_a_long_line_is_cut_where_little_is_stored_and_gives_the_same() -> None:
    x = input_vector(Graph(), "x", 3)
    values = [x[0] * x[1]]
    for k in range(3000):
        values.append(values[-1] * x[k % 3] + values[max(0, k - 7)] * 0.25 - float(k % 5))
    pieces = cut([values[-1], values[1500]])
    assert len(pieces) > 5
    assert all(len(piece.stores) <= MOST_STORES for piece in pieces)
    points = np.random.default_rng(0).uniform(-0.7, 0.7, (STRIDE + 9, 3))
    found = generate("f", {"x": x}, {"z": vector(values[-1], values[1500])}).evaluate(x=points)["z"]
    expected = [points[:, 0] * points[:, 1]]
    for k in range(3000):
        expected.append(expected[-1] * points[:, k % 3] + expected[max(0, k - 7)] * 0.25 - float(k % 5))
    np.testing.assert_allclose(found, np.stack([expected[-1], expected[1500]], axis=1), rtol=1e-12)


@pytest.fixture(scope="module")
def sine_kernel():
    """Sine and cosine of one angle."""
    (x,) = input_vector(Graph(), "x", 1)
    return generate("f", {"x": vector(x)}, {"z": vector(*sine.sine_and_cosine(x))})


def test_sine_and_cosine_are_right_to_rounding_up_to_their_range(sine_kernel) -> None:
    rng = np.random.default_rng(0)
    angles = [rng.uniform(-s, s, 300) for s in (1e-8, 1e-3, 1.0, 4.0, 100.0, 1e5, sine.RANGE)]
    quarters = 0.5 * np.pi * np.arange(-200, 201)
    x = np.concatenate([*angles, quarters, np.nextafter(quarters, 9e9), [0.0, sine.RANGE, -sine.RANGE]])
    found = sine_kernel.evaluate(x=x[:, None])["z"]
    with mpmath.workprec(200):
        exact = np.array([[float(mpmath.sin(a)), float(mpmath.cos(a))] for a in x.tolist()])
    assert np.abs(found - exact).max() <= sine.ACCURACY


def test_an_angle_that_is_no_number_gives_none(sine_kernel) -> None:
    with np.errstate(invalid="ignore"):
        assert np.isnan(sine_kernel.evaluate(x=np.array([[np.nan], [np.inf], [-np.inf]]))["z"]).all()
