"""What the robot is told, and when it is told nothing."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import RefusedError
from mbpl_control.hardware import BridgeCore, Confirmation, load_robot_file
from mbpl_control.runtime import RobotSample
from mbpl_control.runtime.hold import HoldExecutor, HoldGains

MS = 10**6
STAND = np.array([0.0, 1.0, 0.0, -0.5, 0.0, 0.2, 0.0])


def sample(ms: int, v: float = 0.0) -> RobotSample:
    speeds = np.full(7, v)
    return RobotSample(np.concatenate((STAND, speeds)), STAND, speeds, ms * MS)


class Driven:
    """A bridge whose joints are confirmed, and the words of its manager."""

    def __init__(self, robot, tmp_path, closes_loop: bool = False) -> None:
        self.robot, self.action = robot, robot.task.action
        confirmation = Confirmation(tmp_path / "arm.yaml", robot.hash, robot.hash)
        self.core = BridgeCore(robot, confirmation, closes_loop)
        self.values = np.arange(7.0)

    def command(self, ms: int, **changes):
        names = changes.get("names", list(self.action.joint_names))
        values = changes.get("values", self.values)
        return self.core.on_command(
            names, changes.get("interface", "effort"), values, changes.get("who", "law"), changes.get("stamp", ms) * MS,
            ms * MS,
        )  # fmt: skip


@pytest.fixture
def driven(robot, tmp_path) -> Driven:
    return Driven(robot, tmp_path)


def test_a_command_goes_to_the_robot_as_it_is(driven) -> None:
    assert driven.core.on_state(sample(0), 0) is None
    drive = driven.command(1, stamp=0)
    assert drive.effort.tolist() == driven.values.tolist()
    assert not drive.gain.any()
    assert driven.core.mode == "commanded"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["pan"]}, "joints are pan; this robot's are pan, lift"),
        ({"interface": "velocity"}, "interface is 'velocity'; must be 'effort'"),
        ({"values": np.zeros(6)}, "6 values; must be 7"),
        ({"values": np.array([0, 0, 0, np.nan, 0, 0, 0])}, "not finite"),
        ({"values": np.array([0, 0, 0, 0, 0, 0, np.inf])}, "not finite"),
        ({"values": np.array([0, 0, 0, 0, 0, 0, 10.1])}, r"10\.1 N\*m for 'wrist_roll'; the limits are -10 and 10"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_command_that_is_none_for_this_robot_is_refused_and_counted(driven, changes, message) -> None:
    driven.core.on_state(sample(0), 0)
    with pytest.raises(RefusedError, match=message):
        driven.command(1, **changes)
    assert driven.core.refused == 1
    assert driven.core.mode == "idle"
    assert driven.core.on_state(sample(4), 4 * MS) is None


def test_an_answer_to_a_state_older_than_the_time_out_is_no_sign_that_somebody_looks_after_the_robot(driven) -> None:
    driven.core.on_state(sample(0), 0)
    driven.core.on_state(sample(100), 100 * MS)
    driven.command(100, stamp=0)
    driven.core.on_state(sample(101), 101 * MS)
    with pytest.raises(RefusedError, match=r"answers a state of 0\.101 s ago; at most 0\.1 s is allowed"):
        driven.command(101, stamp=0)
    # what the manager says by itself, states having stayed away from it, counts
    names = list(driven.action.joint_names)
    driven.core.on_command(names, "effort", driven.values, "zero", 0, 102 * MS, False)
    assert driven.core.on_state(sample(201), 201 * MS) is None
    driven.core.on_state(sample(203), 203 * MS)
    assert driven.core.mode == "held"


def test_before_the_joints_are_confirmed_nothing_moves_the_robot(robot, tmp_path) -> None:
    driven = Driven(robot, tmp_path)
    driven.core = BridgeCore(robot, Confirmation(tmp_path / "arm.yaml", robot.hash))
    driven.core.on_state(sample(0), 0)
    with pytest.raises(RefusedError, match="arm.yaml were never confirmed; run `mbpl check-joints`"):
        driven.command(1)
    assert driven.core.on_state(sample(500), 500 * MS) is None
    assert driven.core.watch(5000 * MS) is None
    assert driven.core.final() is None


def test_without_commands_the_robot_is_held_as_the_manager_would(driven) -> None:
    core = driven.core
    core.on_state(sample(0), 0)
    gravity = driven.robot.task.robot.gravity(STAND)
    driven.command(0, values=gravity)
    assert core.on_state(sample(100), 100 * MS) is None
    drive = core.on_state(sample(101, 0.02), 101 * MS)
    assert core.mode == "held"
    assert core.reason == "no command for 0.101 s"
    task = driven.robot.task
    gains = HoldGains(task.robot, task.condition(0).state[:7], 12.0)
    wanted = HoldExecutor(task.robot, gains).evaluate(sample(101, 0.02))
    assert drive.effort == pytest.approx(wanted)
    # and again, when the manager is back
    driven.command(110, stamp=101)
    assert core.mode == "commanded"
    assert core.on_state(sample(112), 112 * MS) is None


def test_or_gets_no_effort_when_its_file_says_so(write_robot, arm_task, tmp_path) -> None:
    driven = Driven(load_robot_file(write_robot(without_commands="zero"), arm_task), tmp_path)
    driven.core.on_state(sample(0), 0)
    driven.command(0)
    drive = driven.core.on_state(sample(101), 101 * MS)
    assert driven.core.mode == "zero"
    assert not drive.effort.any()
    assert not driven.core.final().effort.any()


def test_a_hold_that_begins_keeps_to_the_limits_of_rate(driven) -> None:
    core, action = driven.core, driven.action
    core.on_state(sample(0), 0)
    driven.command(0, values=action.lower)
    drive = core.on_state(sample(104), 104 * MS)
    # the whole range in 20 ms, as in the manager; the hold wants much more of most joints at once
    rate = (action.upper - action.lower) / 0.02
    assert (np.abs(drive.effort - action.lower) <= rate * 0.104 + 1e-9).all()
    assert (drive.effort <= action.upper).all()
    again = core.on_state(sample(108), 108 * MS)
    assert (np.abs(again.effort - drive.effort) <= rate * 0.004 + 1e-9).all()


def test_a_robot_whose_states_stay_away_too_is_not_held_blindly(driven) -> None:
    core = driven.core
    core.on_state(sample(0), 0)
    driven.command(0)
    assert core.watch(90 * MS) is None
    drive = core.watch(101 * MS)
    assert not drive.effort.any()
    assert core.mode == "held"
    # states are back: held where it is now
    assert core.on_state(sample(300), 300 * MS).effort.any()


def test_a_driver_that_closes_the_loop_itself_holds_without_states(robot, tmp_path) -> None:
    driven = Driven(robot, tmp_path, closes_loop=True)
    driven.core.on_state(sample(0), 0)
    driven.command(0)
    drive = driven.core.watch(101 * MS)
    stiffness = driven.core._gains.stiffness
    assert (np.diag(drive.gain[:, :7]) == -stiffness).all()
    assert (stiffness > 0.0).all()


def test_the_last_word_before_the_bridge_leaves_holds_the_robot_against_gravity(driven) -> None:
    driven.core.on_state(sample(0), 0)
    driven.command(0)
    driven.core.on_state(sample(4, 0.3), 4 * MS)
    assert driven.core.final().effort == pytest.approx(driven.robot.task.robot.gravity(STAND))


# --- feedback that the driver evaluates ---


def test_a_command_goes_out_with_the_gain_of_its_law_and_where_the_robot_was(robot, tmp_path) -> None:
    driven = Driven(robot, tmp_path, closes_loop=True)
    core = driven.core
    for ms in (0, 4, 8):
        core.on_state(sample(ms, 0.01 * ms), ms * MS)
    gain = -np.ones((7, 14))
    assert core.on_law("law", np.arange(7), gain) is None
    drive = driven.command(9, stamp=4)
    assert drive.sample.stamp_ns == 4 * MS
    assert drive.sample.v[0] == 0.04
    assert (drive.gain == gain).all()


def test_the_gain_of_a_law_that_comes_after_its_command_is_sent_with_it(robot, tmp_path) -> None:
    driven = Driven(robot, tmp_path, closes_loop=True)
    driven.core.on_state(sample(0), 0)
    assert not driven.command(1, stamp=0, who="arm + hand").gain.any()
    drive = driven.core.on_law("hand", np.array([5, 6]), np.full((2, 14), -3.0))
    assert drive.effort.tolist() == driven.values.tolist()
    assert (drive.gain[5:] == -3.0).all()
    assert not drive.gain[:5].any()


def test_no_gain_outlives_its_law_adds_to_a_limit_or_starts_from_a_guess(robot, tmp_path) -> None:
    driven = Driven(robot, tmp_path, closes_loop=True)
    core = driven.core
    core.on_state(sample(0), 0)
    driven.command(1, stamp=0)
    assert core.on_law("law", np.arange(7), -np.ones((7, 14))) is not None
    # at its limit a joint has no effort left for feedback
    values = driven.values.copy()
    values[6] = 10.0
    gain = driven.command(2, stamp=0, values=values).gain
    assert not gain[6].any()
    assert (gain[:6] == -1.0).all()
    # an answer to a state that was never measured
    assert not driven.command(3, stamp=2).gain.any()
    # another law, without a gain of its own
    assert not driven.command(4, stamp=0, who="other").gain.any()
    assert not driven.command(5, stamp=0, who="law").gain.any()


def test_a_hold_of_the_manager_is_one_at_the_rate_of_a_driver_that_closes_the_loop(driven, robot, tmp_path) -> None:
    driven.core.on_state(sample(0), 0)
    assert not driven.command(1, stamp=0, who="hold").gain.any()
    closing = Driven(robot, tmp_path, closes_loop=True)
    closing.core.on_state(sample(0), 0)
    values = closing.values.copy()
    values[6] = 10.0
    for who in ("hold", "fallback"):
        gain = closing.command(1, stamp=0, who=who, values=values).gain
        gains = closing.core._gains
        assert (np.diag(gain[:, :7])[:6] == -gains.stiffness[:6]).all()
        assert (np.diag(gain[:, 7:])[:6] == -gains.damping[:6]).all()
        assert not gain[6].any()
    assert not closing.command(1, stamp=0, who="emergency_stop").gain.any()
