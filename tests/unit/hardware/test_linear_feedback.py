"""Our laws as linear-feedback-controller evaluates them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pinocchio
import pytest

from mbpl_control.core import StateBlock, StateDefinition
from mbpl_control.hardware.linear_feedback import joint_gain, linear_feedback
from mbpl_control.tasks import load_task

RNG = np.random.default_rng(3)


def test_linear_feedback_controller_makes_the_same_efforts_of_it_with_pinocchios_difference(
    repository: Path,
) -> None:
    """u = feedforward + feedback_gain (x_ref ⊖ x), as in LFController::compute_control, in another order of joints."""
    task = load_task(repository / "examples" / "my_robot" / "planar_reach.yaml")
    model = pinocchio.buildModelFromUrdf(str(task.robot.path))
    n = task.robot.nv
    assert n == model.nv
    order = RNG.permutation(n)
    effort, gain = RNG.standard_normal(n), RNG.standard_normal((n, 2 * n))
    q0, v0, q, v = RNG.standard_normal((4, n))
    ours = effort + gain @ np.concatenate((task.robot.position_space.difference(q, q0), v - v0))
    law = linear_feedback(effort, gain, q0, v0, order)
    # their side, which knows nothing of ours but the message: names bring its order into the model's
    back = np.argsort(order)
    away = pinocchio.difference(model, q, law.positions[back])[order]
    theirs = law.feedforward + law.feedback_gain @ np.concatenate((away, law.velocities - v[order]))
    assert theirs[back] == pytest.approx(ours, abs=1e-12)


def test_a_stabilising_gain_has_the_opposite_sign_there() -> None:
    law = linear_feedback(np.zeros(1), np.array([[-5.0, -2.0]]), np.zeros(1), np.zeros(1), np.array([0]))
    assert law.feedback_gain.tolist() == [[5.0, 2.0]]


def test_a_gain_by_joints_alone_stays_as_it_is(arm_task) -> None:
    gain, (q, v) = RNG.standard_normal((7, 14)), RNG.standard_normal((2, 7))
    assert joint_gain(arm_task, arm_task.robot.state, gain, q, v) == pytest.approx(gain, abs=1e-8)


def test_a_gain_by_points_of_frames_follows_their_jacobian() -> None:
    """d/dt p = J q̇, so K by p is K J by q; and K by ṗ is K J by q̇ and K ∂(J q̇)/∂q by q, here by Pinocchio."""
    task = load_task("arm_peg")
    assert task.state.size == 26
    n = task.robot.nv
    q, v = 0.5 * RNG.standard_normal((2, n))
    blocks = [b for b in task.state.blocks if b.kind in ("frame_position", "frame_velocity")]
    frame = blocks[0].names[0].partition(".")[0]
    mine = [b for b in blocks if b.names[0].startswith(frame + ".")]
    law_state = StateDefinition(tuple(mine))
    gain = RNG.standard_normal((2, law_state.tangent_size))
    found = joint_gain(task, law_state, gain, q, v)
    jacobian = task.robot.kinematics.motion(frame, q).jacobians[0][:3]
    hessian = task.robot.kinematics.position_hessians(frame, q[None])[0]
    by_position, by_velocity = gain[:, :3], gain[:, 3:]
    assert [b.kind for b in mine] == ["frame_position", "frame_velocity"]
    assert found[:, n:] == pytest.approx(by_velocity @ jacobian, abs=1e-6)
    assert found[:, :n] == pytest.approx(by_position @ jacobian + by_velocity @ (hessian @ v), abs=1e-6)


def test_a_law_of_less_than_the_state_counts_for_what_it_knows(arm_task) -> None:
    positions = arm_task.state.blocks[0]
    law_state = StateDefinition(
        (StateBlock(positions.kind, positions.names[2:4], positions.spaces[2:4], positions.units[2:4]),)
    )
    gain = RNG.standard_normal((7, 2))
    found = joint_gain(arm_task, law_state, gain, *np.zeros((2, 7)))
    expected = np.zeros((7, 14))
    expected[:, 2:4] = gain
    assert found == pytest.approx(expected, abs=1e-8)
