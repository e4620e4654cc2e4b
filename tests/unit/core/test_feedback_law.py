"""One knot of feedback."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mbpl_control.core import ActionDefinition, FeedbackLaw, InvalidFieldError, StateDefinition


@pytest.fixture
def fields(state: StateDefinition, action: ActionDefinition) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        "state": state,
        "action": action,
        "reference_state": state.space.neutral(),
        "nominal_action": rng.normal(size=2),
        "gain": rng.normal(size=(2, 7)),
        "covariance": np.array([[2.0, 0.5], [0.5, 1.0]]),
    }


def test_a_knot_answers_as_a_controller_of_one_step(fields, make_controller) -> None:
    law = FeedbackLaw(**fields)
    x = make_controller().nominal_states[3]
    horizon = make_controller(
        steps=1,
        nominal_states=np.tile(law.reference_state, (2, 1)),
        nominal_actions=law.nominal_action[None],
        feedforward=None,
        gains=law.gain[None],
        covariances=law.covariance[None],
    )
    np.testing.assert_allclose(law.mean(x), horizon.mean(0, x), rtol=1e-12)
    draws = [source.sample(*a, np.random.default_rng(5)) for source, a in ((law, (x,)), (horizon, (0, x)))]
    np.testing.assert_allclose(draws[0], draws[1], rtol=1e-12)


def test_the_noise_factor_squares_to_the_covariance(fields) -> None:
    factor = FeedbackLaw(**fields).noise_factor
    np.testing.assert_allclose(factor @ factor, fields["covariance"], atol=1e-14)
    np.testing.assert_array_equal(FeedbackLaw(**{**fields, "covariance": None}).noise_factor, np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("reference_state", np.zeros(7), r"shape \(7,\); must be of shape \(8,\)"),
        ("reference_state", np.zeros(8), "a quaternion of length 0"),
        ("nominal_action", [1.0, np.nan], r"nan at index \(1,\); must be finite"),
        ("gain", np.zeros((2, 8)), r"shape \(2, 8\); must be of shape \(2, 7\)"),
        ("covariance", -np.eye(2), "positive semidefinite"),
    ],
)
def test_a_wrong_field_is_named(fields, field: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=rf"FeedbackLaw\.{field}: .*{message}"):
        FeedbackLaw(**{**fields, field: value})
