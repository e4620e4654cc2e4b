"""The check of the joints, on an arm in MuJoCo whose wiring may be wrong."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbpl_control.core import RefusedError
from mbpl_control.hardware import BridgeCore, Confirmation, HardwareRobot
from mbpl_control.hardware.joint_check import Phase
from mbpl_control.runtime import RobotSample

PERIOD_MS = 4
STAND = np.array([0.0, 1.0, 0.0, -0.5, 0.0, 0.2, 0.0])


class Wired:
    """A bridge, and an arm that gets `signs * u[order]` of what it is told; brakes on until the first word."""

    def __init__(self, robot: HardwareRobot, tmp_path, order=None, signs=None) -> None:
        self.robot = robot
        self.core = BridgeCore(robot, Confirmation(tmp_path / "arm.yaml", robot.hash))
        self.model = robot.task.robot.mujoco_model(0.001)
        self.data = mujoco.MjData(self.model)
        self.data.qpos[:] = STAND
        self.order = np.arange(7) if order is None else np.array(order)
        self.signs = np.ones(7) if signs is None else np.array(signs)
        self.noise = np.random.default_rng(0)
        self.ms = 0
        self.farthest = self.fastest = 0.0
        self.told: list[np.ndarray] = []

    def period(self) -> None:
        d, now = self.data, self.ms * 10**6
        q, v = (x + s * self.noise.standard_normal(7) for x, s in ((d.qpos, 1e-4), (d.qvel, 2e-3)))
        drive = self.core.on_state(RobotSample(np.concatenate((q, v)), q, v, now), now)
        self.ms += PERIOD_MS
        if drive is None:
            return
        self.told.append(drive.effort)
        d.ctrl[:] = self.signs * drive.effort[self.order]
        for _ in range(PERIOD_MS):
            mujoco.mj_step(self.model, d)
        self.farthest = max(self.farthest, float(np.abs(d.qpos - STAND).max()))
        self.fastest = max(self.fastest, float(np.abs(d.qvel).max()))

    def move(self) -> None:
        """One movement, to its end."""
        if not self.ms:
            self.period()
        self.core.move_joint(self.ms * 10**6)
        for _ in range(round(20e3 / PERIOD_MS)):
            self.period()
            assert self.core.check is not None
            if not self.core.check.moving:
                return
        raise AssertionError("the movement has not ended within 20 s")


@pytest.fixture
def wired(robot, tmp_path):
    def build(**wiring) -> Wired:
        return Wired(robot, tmp_path, **wiring)

    return build


def test_a_robot_that_is_wired_as_its_file_says_passes_joint_by_joint(wired) -> None:
    arm = wired()
    options = arm.robot.file.check
    core = arm.core
    for joint in arm.robot.task.action.joint_names:
        assert not core.confirmation.counts
        arm.move()
        movement = core.movement
        assert (movement.joint, movement.ok) == (joint, True)
        # measured at 250 Hz, at speeds of a tenth of a rad/s
        assert options.motion <= movement.moved < 1.2 * options.motion
        assert movement.other_moved < 0.1 * options.motion
        # the hold's stiffness is K_p = p / Δq at rest; a moving joint lags behind that
        i = arm.robot.task.action.joint_names.index(joint)
        assert movement.effort >= 0.9 * core._gains.stiffness[i] * options.motion
        assert movement.effort <= options.effort * arm.robot.task.action.upper[i]
        core.answer_check(True)
    assert core.confirmation.counts
    assert core.mode == "held"
    assert arm.farthest < options.largest_motion
    assert np.abs(arm.data.qpos - STAND).max() < 2e-3


WRONG = {
    **{f"sign of {i}": {"signs": np.where(np.arange(7) == i, -1.0, 1.0)} for i in range(7)},
    "pan and lift": {"order": [1, 0, 2, 3, 4, 5, 6]},
    "pan and upper_roll": {"order": [2, 1, 0, 3, 4, 5, 6]},
    "forearm_roll and wrist_roll": {"order": [0, 1, 2, 3, 6, 5, 4]},
    "wrist and wrist_roll": {"order": [0, 1, 2, 3, 4, 6, 5]},
    "reversed": {"order": [6, 5, 4, 3, 2, 1, 0]},
    "turned round": {"order": [1, 2, 3, 4, 5, 6, 0]},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_sign_or_order_is_found_before_any_joint_goes_far(wired, wrong: str) -> None:
    arm = wired(**WRONG[wrong])
    arm.move()
    core, options = arm.core, arm.robot.file.check
    assert core.check.failed
    assert not core.movement.ok
    # two states in a row end the check: whatever the joint gains within three periods comes on top
    assert arm.farthest < options.largest_motion
    assert not arm.told[-1].any()
    assert not core.confirmation.counts
    assert core.movement.message in core.confirmation.reason
    count = len(arm.told)
    arm.period()
    assert len(arm.told) == count + 1
    assert not arm.told[-1].any()


def test_a_joint_that_something_holds_is_told_from_one_that_moves(wired) -> None:
    arm = wired()
    # dry friction above the 18 N m that the check may apply, as of a brake that is not open
    arm.model.dof_frictionloss[0] = 30.0
    arm.move()
    assert "'pan' moved by" in arm.core.movement.message
    assert "does anything hold it" in arm.core.movement.message
    assert max(np.abs(u[0]) for u in arm.told) <= 0.2 * 90.0 + 1.0


def test_after_a_no_the_arm_is_held_and_the_first_joint_comes_again(wired) -> None:
    arm = wired()
    arm.move()
    arm.core.answer_check(True)
    arm.move()
    assert arm.core.movement.joint == "lift"
    assert "held" in arm.core.answer_check(False)
    assert not arm.core.confirmation.counts
    for _ in range(250):
        arm.period()
    assert np.abs(arm.data.qpos - STAND).max() < 2e-3
    arm.move()
    assert arm.core.movement.joint == "pan"


def test_nothing_is_answered_or_moved_out_of_turn(wired) -> None:
    arm = wired()
    with pytest.raises(RefusedError, match="sends no joint states"):
        arm.core.move_joint(0)
    arm.period()
    with pytest.raises(RefusedError, match="no check is under way"):
        arm.core.answer_check(True)
    arm.core.move_joint(arm.ms * 10**6)
    arm.period()
    with pytest.raises(RefusedError, match="'pan' is being moved"):
        arm.core.move_joint(arm.ms * 10**6)
    with pytest.raises(RefusedError, match="no movement waits for an answer"):
        arm.core.answer_check(True)


def test_one_fast_state_is_a_bad_measurement_and_two_are_a_joint_that_runs(wired) -> None:
    arm = wired()
    arm.period()
    core = arm.core
    core.move_joint(arm.ms * 10**6)
    fast = np.zeros(7)
    fast[3] = 1.01 * arm.robot.file.check.largest_speed
    for speed, phase in (
        (fast, Phase.SETTLING),
        (0 * fast, Phase.SETTLING),
        (fast, Phase.SETTLING),
        (fast, Phase.FAILED),
    ):
        arm.ms += PERIOD_MS
        core.on_state(RobotSample(None, STAND, speed, arm.ms * 10**6), arm.ms * 10**6)
        assert core.check.phase is phase
    assert "'elbow'" in core.movement.message


def test_states_that_stay_away_end_a_check_without_effort(wired) -> None:
    arm = wired()
    arm.period()
    arm.core.move_joint(arm.ms * 10**6)
    arm.period()
    later = arm.ms * 10**6 + 200 * 10**6
    drive = arm.core.watch(later)
    assert drive is not None and not drive.effort.any()
    assert arm.core.check is None
    assert "no joint state" in arm.core.confirmation.reason
