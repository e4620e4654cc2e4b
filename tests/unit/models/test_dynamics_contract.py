"""What every model can do on top of its step: roll out, also with feedback for many step sizes at once."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import ActionDefinition, ModelError, StateBlock, StateDefinition
from mbpl_control.models import Dynamics

SPACE = StateDefinition((StateBlock("joint_positions", ("a", "b"), ("angle", "euclidean"), ("rad", "rad")),))


class Turntable(Dynamics):
    """x' = x ⊕ (u, x₂ / 2): a wheel that is turned, and a number that halves."""

    def __init__(self) -> None:
        """One wheel, one number."""
        self.state = SPACE
        self.action = ActionDefinition(("m",), ("a",), "effort", ("N*m",), np.array([-1.0]), np.array([1.0]))
        self.dt = 0.1

    def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """See `Dynamics.step`."""
        return np.stack([(states[:, 0] + actions[:, 0] + np.pi) % (2 * np.pi) - np.pi, 0.5 * states[:, 1]], axis=1)

    def linearize(self, states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Dynamics.linearize`."""
        count = len(actions)
        return np.tile(np.diag([1.0, 0.5]), (count, 1, 1)), np.tile(np.array([[1.0], [0.0]]), (count, 1, 1))


def test_a_rollout_plays_the_actions_from_the_start() -> None:
    states = Turntable().rollout(np.array([3.0, 8.0]), np.array([[0.1], [0.1], [0.5]]))
    np.testing.assert_allclose(states, [[3.0, 8.0], [3.1, 4.0], [3.2 - 2 * np.pi, 2.0], [3.7 - 2 * np.pi, 1.0]])


def test_feedback_is_scaled_in_its_feedforward_alone_and_clipped_and_crosses_the_seam() -> None:
    model = Turntable()
    nominal = model.rollout(np.array([3.0, 8.0]), np.zeros((3, 1)))
    k, gains = np.array([[0.4], [0.0], [4.0]]), np.tile(np.array([[[-0.5, 0.0]]]), (3, 1, 1))
    sizes = np.array([0.0, 0.5, 1.0])
    states, actions = model.rollout_feedback(
        nominal, np.zeros((3, 1)), k, gains, sizes, np.array([-0.15]), np.array([0.35])
    )
    for row, alpha in enumerate(sizes):
        x, expected = nominal[0], []
        for t in range(3):
            error = (x[0] - 3.0 + np.pi) % (2 * np.pi) - np.pi
            expected.append(np.clip(alpha * k[t, 0] - 0.5 * error, -0.15, 0.35))
            x = model.step(x[None], np.array([[expected[-1]]]))[0]
        np.testing.assert_allclose(actions[row, :, 0], expected, atol=1e-12)
        np.testing.assert_allclose(states[row, -1], x, atol=1e-12)


def test_a_model_that_holds_for_one_step_alone_says_so() -> None:
    with pytest.raises(ModelError, match=r"Turntable: the step of 0\.1 s cannot change to 0\.2 s"):
        Turntable().set_duration(0.2)
