"""Derivatives of every cost term against central finite differences in the tangent space."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mbpl_control.core import StateSpace
from mbpl_control.costs import (
    ActionCost,
    CosineCost,
    FrameDistanceCost,
    FrameOrientationCost,
    FramePositionCost,
    JointColumns,
    JointLimitCost,
    KinematicPoints,
    StateCost,
    StatePoints,
    SumCost,
    Term,
)
from mbpl_control.costs.rotations import rotation_vector
from mbpl_control.models import RobotModel

#: A body that floats, with an arm on a ball joint: frames whose derivatives are taken along rotations.
FLOATER = """
<mujoco><default><geom contype="0"/></default><worldbody><body name="hull"><freejoint name="float"/><geom size="0.1"/>
<body name="arm" pos="0.2 0 0"><joint name="shoulder" type="ball" pos="0.01 0 0.02"/><geom size="0.1"/>
<body pos="0.2 0.1 0"><joint name="elbow" axis="0 1 0.5"/><geom size="0.1"/><site name="tip" pos="0.1 0.1 0"/>
</body></body></body></worldbody></mujoco>
"""


def floater() -> RobotModel:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "floater.xml"
        path.write_text(FLOATER)
        return RobotModel.from_file(path)


FLOATING = floater()
FLOATING_SPACE = FLOATING.state.space
FLOATING_JOINTS = JointColumns.leading(FLOATING.nq, FLOATING.nv, FLOATING_SPACE.tangent_size)
FLOATING_TIP = KinematicPoints(FLOATING.kinematics, ["tip"], FLOATING_JOINTS)
ARM = RobotModel.from_file(Path(__file__).parents[3] / "sim" / "models" / "arm7.xml")
SPACE = ARM.state.space
NQ, NDX, M = ARM.nq, SPACE.tangent_size, ARM.action.size
ROTATION = Rotation.from_rotvec([0.4, -0.9, 0.7]).as_matrix()
TARGET = np.array([0.4, 0.2, -0.3])
EVERY_JOINT = (np.arange(NQ), np.arange(NQ))
JOINTS = JointColumns.leading(NQ, NQ, NDX)
TIP = KinematicPoints(ARM.kinematics, ["tip"], JOINTS)
TIP_AND_ELBOW = KinematicPoints(ARM.kinematics, ["tip", "forearm"], JOINTS)
#: A state that begins with other numbers, among them an angle and a rotation, and holds the joints after those.
LATE_SPACE = StateSpace(["angle", "quaternion", "euclidean", *["euclidean"] * NQ, "euclidean"])
LATE = JointColumns(slice(6, 6 + NQ), slice(5, 5 + NQ), 6 + NQ)
LATE_TIP = KinematicPoints(ARM.kinematics, ["tip"], LATE)
#: Points that a state holds, the second before the first, and apart.
HELD = StatePoints(np.array([6, 7, 8, 0, 1, 2]), np.array([6, 7, 8, 0, 1, 2]), 10)
HELD_TOGETHER = StatePoints(np.arange(7, 10), np.arange(6, 9), 9)

TERMS: dict[str, tuple[Term, StateSpace]] = {
    "state": (StateCost(SPACE, np.linspace(0.1, 2.0, NDX), np.linspace(-1, 1, NDX)), SPACE),
    "state with angle and quaternion": (
        StateCost(
            StateSpace(["angle", "quaternion", "euclidean"]),
            np.array([0.7, 1.3, 1.3, 1.3, 0.2]),
            np.array([3.0, *Rotation.from_rotvec([0.2, 0.3, 0.1]).as_quat()[[3, 0, 1, 2]], 1.0]),
        ),
        StateSpace(["angle", "quaternion", "euclidean"]),
    ),
    "cosine": (
        CosineCost((np.array([0, 3]), np.array([0, 3])), NDX, np.array([1.0, 2.0]), np.array([3.1, 0.2])),
        SPACE,
    ),
    "frame position": (
        FramePositionCost(TIP, np.array([1.0, 2.0, 3.0]), TARGET),
        SPACE,
    ),
    "frame distance": (
        FrameDistanceCost(TIP, TARGET, l1=0.3, l2=2.0, log=0.1, alpha=1e-2),
        SPACE,
    ),
    "frame orientation": (
        FrameOrientationCost(ARM.kinematics, "tip", JOINTS, 1.7, ROTATION),
        SPACE,
    ),
    "frame position of a floating arm": (
        FramePositionCost(FLOATING_TIP, np.array([1.0, 2.0, 3.0]), TARGET),
        FLOATING_SPACE,
    ),
    "frame orientation of a floating arm": (
        FrameOrientationCost(FLOATING.kinematics, "tip", FLOATING_JOINTS, 1.7, ROTATION),
        FLOATING_SPACE,
    ),
    "distance of two frames": (
        FrameDistanceCost(TIP_AND_ELBOW, np.array([*TARGET, 0.1, 0.3, 0.2]), l1=0.3, l2=2.0, log=0.1, alpha=1e-2),
        SPACE,
    ),
    "frame position of joints late in the state": (
        FramePositionCost(LATE_TIP, np.array([1.0, 2.0, 3.0]), TARGET),
        LATE_SPACE,
    ),
    "frame distance of joints late in the state": (FrameDistanceCost(LATE_TIP, TARGET, l1=0.3, l2=2.0), LATE_SPACE),
    "frame orientation of joints late in the state": (
        FrameOrientationCost(ARM.kinematics, "tip", LATE, 1.7, ROTATION),
        LATE_SPACE,
    ),
    "position of a point that the state holds": (
        FramePositionCost(HELD_TOGETHER, np.array([1.0, 2.0, 3.0]), TARGET),
        StateSpace(["quaternion", *["euclidean"] * 6]),
    ),
    "distance of two points that the state holds": (
        FrameDistanceCost(HELD, np.array([*TARGET, 0.1, 0.3, 0.2]), l1=0.3, l2=2.0, log=0.1, alpha=1e-2),
        StateSpace(["euclidean"] * 10),
    ),
    "joint limits": (
        JointLimitCost(ARM.position_lower, ARM.position_upper, EVERY_JOINT, NDX, 0.5, delta=0.4),
        SPACE,
    ),
}


def random_states(space: StateSpace, count: int = 6) -> np.ndarray:
    rng = np.random.default_rng(5)
    return space.integrate(
        np.broadcast_to(space.neutral(), (count, space.size)),
        rng.uniform(-1.2, 1.2, (count, space.tangent_size)),
    )


def differences(space: StateSpace, states: np.ndarray, function, step: float) -> np.ndarray:
    columns = []
    for i in range(space.tangent_size):
        dx = np.zeros(space.tangent_size)
        dx[i] = step
        plus = function(space.integrate(states, np.broadcast_to(dx, (len(states), len(dx)))))
        minus = function(space.integrate(states, np.broadcast_to(-dx, (len(states), len(dx)))))
        columns.append((plus - minus) / (2 * step))
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("name", TERMS)
def test_first_derivatives_equal_finite_differences(name: str) -> None:
    term, space = TERMS[name]
    states = random_states(space)
    none = np.zeros((len(states), 0))
    expansion = term.expand(states, none, exact=True)
    numeric = differences(space, states, lambda x: term.evaluate(x, none), 1e-6)
    np.testing.assert_allclose(expansion.value, term.evaluate(states, none), rtol=1e-12)
    atol = 1e-8 * max(1.0, np.abs(numeric).max())
    np.testing.assert_allclose(expansion.lx, numeric, rtol=1e-7, atol=10 * atol)


@pytest.mark.parametrize("name", TERMS)
def test_second_derivatives_equal_finite_differences_of_the_value(name: str) -> None:
    term, space = TERMS[name]
    states = random_states(space)
    none = np.zeros((len(states), 0))
    h, n = 1e-4, space.tangent_size
    numeric = np.zeros((len(states), n, n))

    def moved(*signs_and_axes: tuple[float, int]) -> np.ndarray:
        dx = np.zeros((len(states), n))
        for sign, axis in signs_and_axes:
            dx[:, axis] += sign * h
        return term.evaluate(space.integrate(states, dx), none)

    for i in range(n):
        for j in range(n):
            numeric[:, i, j] = (
                moved((1, i), (1, j)) - moved((1, i), (-1, j)) - moved((-1, i), (1, j)) + moved((-1, i), (-1, j))
            ) / (4 * h * h)
    expansion = term.expand(states, none, exact=True)
    scale = max(1.0, np.abs(numeric).max())
    np.testing.assert_allclose(expansion.lxx, numeric, atol=2e-6 * scale)


@pytest.mark.parametrize("name", TERMS)
def test_gauss_newton_is_positive_semidefinite(name: str) -> None:
    term, space = TERMS[name]
    states = random_states(space)
    expansion = term.expand(states, np.zeros((len(states), 0)), exact=False)
    assert np.linalg.eigvalsh(expansion.lxx).min() > -1e-10


def test_a_sum_weighs_each_term_by_its_ramp_and_spares_the_final_action() -> None:
    rng = np.random.default_rng(1)
    states, actions = rng.normal(size=(5, 2 * NQ)), rng.normal(size=(4, M))
    action = ActionCost(np.full(M, 2.0), np.zeros(M))
    state = StateCost(SPACE, np.ones(NDX), np.zeros(NDX), ramp="final(2)")
    cost = SumCost([action, state], NDX, M)
    expected = np.zeros(5)
    expected[:4] = (actions**2).sum(axis=1)
    expected[3:] += 0.5 * (states[3:] ** 2).sum(axis=1)
    np.testing.assert_allclose(cost.evaluate(states, actions), expected)
    np.testing.assert_allclose(cost.quadratize(states, actions).value, expected)
    batch = cost.evaluate(np.stack([states, states]), np.stack([actions, actions]))
    np.testing.assert_allclose(batch, np.stack([expected, expected]))
    np.testing.assert_allclose(cost.quadratize(states, actions).luu, np.tile(2.0 * np.eye(M), (4, 1, 1)))


@pytest.mark.parametrize("angle", [1e-9, 1e-3, 1.0, 3.0, np.pi - 1e-6])
def test_the_logarithm_of_a_rotation_agrees_with_scipy(angle: float) -> None:
    axes = np.random.default_rng(2).normal(size=(20, 3))
    vectors = angle * axes / np.linalg.norm(axes, axis=1, keepdims=True)
    np.testing.assert_allclose(rotation_vector(Rotation.from_rotvec(vectors).as_matrix()), vectors, atol=1e-9)
