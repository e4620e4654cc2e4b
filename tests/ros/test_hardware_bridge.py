"""The bridge against a process that speaks as forward_command_controller and joint_state_broadcaster do."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from listening import Listener
from machines import COMMAND_TIMEOUT, ORDER, Record, bridge, driver, robot_file, running
from mbpl_msgs.msg import JointCommand
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from mbpl_control.cli.check_joints import check_joints
from mbpl_control.core import RefusedError
from mbpl_control.hardware import Confirmation, load_robot_file
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.hardware_links import COMMANDS
from mbpl_control.nodes.qos import EVENTS, RECORDER, SENSOR
from mbpl_control.tasks import load_task

pytestmark = pytest.mark.timeout(900)  # s; the joints are checked one by one, at their own pace

TASK = load_task("arm_reach")
STAND = TASK.condition(0).state[:7]
#: s that scheduling may add to a time-out, beside the stalls that were measured.
ALLOWANCE = 0.1
#: N m by which one command differs from the next.
MARK = 1e-6
GRAVITY = TASK.robot.gravity(STAND)
WRIST_ROLL = np.eye(7)[6]
NAMES = list(TASK.action.joint_names)


@pytest.fixture(autouse=True)
def own_domain(domain: int) -> int:
    return domain


class Robot:
    """A driver, a bridge, and a client of theirs."""

    def __init__(self, graph: GraphClient, path: Path, record: Path, process: subprocess.Popen) -> None:
        self.graph, self.path, self.record_path, self.bridge = graph, path, record, process
        self._driving, self.sent = threading.Event(), 0
        self._commands = graph.node.create_publisher(JointCommand, "joint_commands", SENSOR)
        graph.node.create_subscription(JointState, "joint_states", self._answer, SENSOR)

    def command(self, values: np.ndarray, stamp: object) -> None:
        """Command as the manager does."""
        message = JointCommand(joint_names=NAMES, interface="effort", values=values.tolist(), controller="test")
        message.header.stamp = stamp
        self._commands.publish(message)

    def drive(self, seconds: float) -> None:
        """Answer every state with what balances gravity."""
        self._driving.set()
        threading.Event().wait(seconds)
        self._driving.clear()

    def _answer(self, state: JointState) -> None:
        if self._driving.is_set():
            # each command has an effort of its own, by which the driver's record tells when the last one came
            self.sent += 1
            self.command(GRAVITY + MARK * self.sent * WRIST_ROLL, state.header.stamp)

    def arrivals(self, record: Record) -> np.ndarray:
        """When commands of the drive arrived at the robot, s on the steady clock."""
        marks = np.rint((record.efforts @ WRIST_ROLL - GRAVITY @ WRIST_ROLL) / MARK)
        ours = (np.abs(record.efforts - GRAVITY)[:, :-1].max(axis=1) < 1e-9) & (marks > 0) & (marks <= self.sent)
        return record.time[1:][ours[1:] & (np.diff(marks) != 0)]


@contextmanager
def robot(
    tmp_path: Path, confirmed: bool, changes: dict[str, object] | None = None, **wiring: object
) -> Iterator[Robot]:
    """Driver and bridge, once joint states arrive; what the driver recorded is there when the block is left."""
    path, record = robot_file(tmp_path, **(changes or {})), tmp_path / "record.npy"
    given = {"confirmed": load_robot_file(path, TASK).hash} if confirmed else {}
    with ExitStack() as stack:
        stack.enter_context(running(driver("ros2_control", record=record, **wiring), tmp_path / "driver.log"))
        process = stack.enter_context(running(bridge(robot_file=path, **given), tmp_path / "bridge.log"))
        graph = stack.enter_context(GraphClient(timeout=60.0))
        with Listener(graph.node, JointState, "joint_states", RECORDER) as heard:
            heard.wait(lambda messages: len(messages) > 10, 60.0)
        yield Robot(graph, path, record, process)


def test_states_come_in_the_models_order_whatever_the_broadcasters(tmp_path: Path) -> None:
    with robot(tmp_path, True) as found, Listener(found.graph.node, JointState, "joint_states", RECORDER) as heard:
        state = heard.wait(lambda messages: messages[-1] if messages else None)
    assert list(state.name) == NAMES
    # noise of 1e-4 rad
    assert np.array(state.position) == pytest.approx(STAND, abs=1e-3)
    assert np.isfinite(state.velocity).all()
    assert len(state.effort) == 0


def test_a_person_confirms_each_joint_and_only_then_commands_reach_the_robot(tmp_path: Path) -> None:
    asked: list[str] = []

    def yes(question: str) -> bool:
        asked.append(question)
        return True

    with robot(tmp_path, False) as found:
        with Listener(found.graph.node, Float64MultiArray, "/forward_effort_controller/commands", COMMANDS) as sent:
            with Listener(found.graph.node, DiagnosticArray, "/diagnostics", EVENTS) as told:
                found.drive(1.5)
                reason = told.wait(lambda arrays: refusal(arrays))
            assert "arm.yaml were never confirmed; run `mbpl check-joints`" in reason
            assert sent.messages == []
        assert check_joints(False, "/mbpl", yes)
        # one question to begin, and one for each joint, in the model's order
        assert len(asked) == 8
        assert [q.split("'")[1] for q in asked[1:]] == NAMES
        # a second time there is nothing to do
        assert check_joints(False, "/mbpl", yes)
        assert len(asked) == 8
        found.drive(1.0)
    record = Record(found.record_path)
    assert Confirmation(found.path, load_robot_file(found.path, TASK).hash).counts
    arrived = found.arrivals(record)
    assert len(arrived) > 10
    assert np.abs(record.positions[record.time <= arrived[-1]] - STAND).max() < 0.12
    assert (np.abs(record.efforts) <= TASK.action.upper).all()


def refusal(arrays: list[DiagnosticArray]) -> str:
    """The last refusal that the bridge's diagnostics tell of."""
    for array in reversed(arrays):
        for status in array.status:
            values = {v.key: v.value for v in status.values}
            if status.name.endswith(": bridge") and int(values["commands refused"]) > 0:
                return values["last refusal"]
    return ""


SWAPPED = [{"pan": "upper_roll", "upper_roll": "pan"}.get(name, name) for name in ORDER]


@pytest.mark.parametrize(
    ("wiring", "changes"),
    [({"flipped": ["elbow"]}, {}), ({"wired": SWAPPED}, {}), ({}, {"joints": NAMES})],
    ids=["a sign", "two motors", "the order in the file"],
)
def test_a_robot_that_is_not_what_its_file_says_is_found_out_and_let_go(tmp_path: Path, wiring, changes) -> None:
    with robot(tmp_path, False, changes, **wiring) as found:
        with pytest.raises(RefusedError, match="the check has failed: "):
            check_joints(False, "/mbpl", lambda _: True)
        failed = time.monotonic()
        with pytest.raises(RefusedError, match="no movement waits for an answer"):
            found.graph.answer_check(True)
        found.drive(0.5)
    record = Record(found.record_path)
    assert not Confirmation(found.path, load_robot_file(found.path, TASK).hash).counts
    assert not record.efforts[record.time > failed + record.longest_stall + ALLOWANCE].any()
    # until it was let go; the arm has no brakes and falls from then on
    moved = record.efforts.any(axis=1)
    assert moved.any()
    assert np.abs(record.positions[moved] - STAND).max() < 0.3


@pytest.mark.parametrize("without", ["hold", "zero"])
def test_commands_that_stay_away_end_in_a_hold_or_in_no_effort(tmp_path: Path, without: str) -> None:
    with robot(tmp_path, True, {"without_commands": without}) as found:
        found.drive(1.5)
        with Listener(found.graph.node, DiagnosticArray, "/diagnostics", EVENTS) as told:
            told.wait(lambda arrays: mode(arrays) == {"hold": "held", "zero": "zero"}[without])
        with Listener(found.graph.node, JointState, "joint_states", RECORDER) as heard:
            # the driver records as many periods more, however long they take
            heard.wait(lambda messages: len(messages) > 500, 60.0)
    record = Record(found.record_path)
    arrived = found.arrivals(record)
    assert (np.abs(record.efforts) <= TASK.action.upper).all()
    # each of driver and bridge acts once a period, and may stall as long as the whole chain did while it was driven
    stall = record.longest_stall + np.diff(arrived).max()
    safe = record.time > arrived[-1] + COMMAND_TIMEOUT + 2.0 * 0.004 + stall + ALLOWANCE
    assert safe.sum() > 50
    if without == "zero":
        assert not record.efforts[safe].any()
        return
    # the driver heard another effort than the last command: the bridge's hold, at rest where the arm stood
    assert np.abs(record.positions[safe] - STAND).max() < 0.02
    assert (np.abs(record.efforts[safe] - GRAVITY).max(axis=1) > MARK * found.sent).any()


def mode(arrays: list[DiagnosticArray]) -> str:
    """What the bridge does, by its newest diagnostics."""
    for array in reversed(arrays):
        for status in array.status:
            if status.name.endswith(": bridge"):
                return {v.key: v.value for v in status.values}["mode"]
    return ""


def test_a_bridge_that_is_told_to_end_leaves_the_robot_with_what_balances_gravity(tmp_path: Path) -> None:
    with robot(tmp_path, True) as found:
        found.drive(1.0)
        with Listener(found.graph.node, Float64MultiArray, "/forward_effort_controller/commands", COMMANDS) as sent:
            found.bridge.send_signal(signal.SIGTERM)
            assert found.bridge.wait(20.0) == 0
            final = np.array(sent.messages[-1].data)
    assert final == pytest.approx(GRAVITY[[NAMES.index(n) for n in ORDER]], abs=1.0)


def test_a_bridge_without_a_robot_file_says_what_it_needs(tmp_path: Path) -> None:
    log = tmp_path / "bridge.log"
    with running(bridge(), log) as process:
        assert process.wait(180.0) == 1
    assert "no robot file is given; name the robot's YAML" in log.read_text()
