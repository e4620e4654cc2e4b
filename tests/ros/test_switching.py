"""Swapping controllers on the running graph, in real time, through the services."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import launch_pytest
import numpy as np
import pytest
from bringup import SERVICES, bringup, patient
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from launch import LaunchDescription
from lifecycle_msgs.msg import State
from listening import Listener
from mbpl_msgs.msg import JointCommand, LinearGaussianController, ManagerActivity, RobotState
from mbpl_msgs.srv import LoadController, SwitchController

from mbpl_control.core import LinearGaussianController as Law
from mbpl_control.core import RefusedError
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import LATCHED, LAWS, RECORDER, SENSOR
from mbpl_control.runtime.claims import Claim, Claims
from mbpl_control.tasks import load_task
from mbpl_control.trajopt.planning import plan_task, task_controller

ACTIVITY = "controller_manager/activity"


class Limp:
    """Laws of arm_reach that ask for no effort at all, as a source would send them."""

    def __init__(self) -> None:
        """Take the definitions of the task."""
        self.task = load_task("arm_reach")

    def message(self, sequence: int) -> LinearGaussianController:
        """A law of the whole arm."""
        message = self.part(Claims(self.task.action).all)
        message.sequence = sequence
        return message

    def part(self, claim: Claim) -> LinearGaussianController:
        """A law of some joints, without end."""
        steps, state = 5, self.task.robot.state
        law = Law(
            state,
            claim.action,
            0.02,
            np.zeros((steps + 1, state.size)),
            np.zeros((steps, claim.action.size)),
            np.zeros((steps, claim.action.size, state.tangent_size)),
            end_rule="repeat_last",
        )
        return convert.controller_to_msg(law)


LAW = Limp()


def active(message: ManagerActivity) -> dict[str, list[str]]:
    """The joints of each controller that commands."""
    return {c.name: list(c.joints) for c in message.controllers if c.state.id == State.PRIMARY_STATE_ACTIVE}


@launch_pytest.fixture(scope="module")
def graph(domain: int, tmp_path_factory: pytest.TempPathFactory) -> LaunchDescription:
    """The graph of arm_reach in real time, with both planners."""
    config = patient(tmp_path_factory.mktemp("parameters"))
    return bringup(task="arm_reach", record="false", log_level="warn", config=config)


@pytest.fixture(autouse=True)
def _held_at_the_start(client: GraphClient) -> None:
    client.wait_for_services([*SERVICES[:3], "mpc_controller/plan"], 90.0)
    if client.status().mode == "emergency_stop":
        client.reset_emergency_stop()
    client.reset_sim(0)
    client.wait_status(lambda s: 0.0 <= s.state_age < 0.1)
    client.activate("hold", restart=True)


@pytest.mark.launch(fixture=graph)
def test_a_swap_in_full_motion_never_steps_the_torque_by_more_than_five_percent(
    client: GraphClient,
) -> None:
    task = load_task("arm_reach")
    client.plan("mpc_controller", 0)
    client.plan("ilqr_controller", 0)
    client.wait_status(
        lambda s: all(c.state != "unconfigured" for c in s.controllers if c.name.startswith("ilqr")), 10.0
    )
    with (
        Listener(client.node, JointCommand, "joint_commands", RECORDER) as heard,
        Listener(client.node, RobotState, "state", RECORDER) as states,
    ):
        for name in ("ilqr_feedback", "ilqr_mpc", "ilqr_open_loop", "hold", "ilqr_mpc", "ilqr_feedback"):
            client.activate(name)
            # the arm has moved on by 40 commands of this controller before the next one takes over
            heard.wait(lambda m, name=name: sum(c.controller == name for c in m[-60:]) >= 40)
        commands = list(heard.messages)
        states.wait(lambda m: m and m[-1].sequence >= commands[-1].state_sequence)
    speeds = {s.sequence: (np.abs(s.velocity) / task.velocity_limits()).max() for s in states.messages}
    steps, blended = [], []
    for before, after in pairwise(commands):
        if before.controller != after.controller and after.sequence == before.sequence + 1:
            steps.append(float((np.abs(np.array(after.values) - np.array(before.values)) / task.action.upper).max()))
            # an arm that a busy machine left with the same efforts for too long is slowed down, whoever commands;
            # on a machine that keeps time it moves at up to a fifth of what it may
            if speeds.get(after.state_sequence, 1.0) < 0.5:
                blended.append(steps[-1])
    assert len(blended) >= 4
    assert max(blended) <= 0.05
    assert client.status().largest_switch_step >= max(steps) - 1e-9


@pytest.mark.launch(fixture=graph)
def test_a_target_that_moves_is_pursued_and_one_in_another_frame_is_refused(client: GraphClient) -> None:
    task = load_task("arm_reach")
    client.plan("mpc_controller", 0)
    publisher = client.node.create_publisher(PointStamped, "mpc_controller/target", SENSOR)
    goal = task.condition(0).target + np.array([0.0, -0.15, 0.05])

    def tell(frame: str) -> None:
        message = PointStamped()
        message.header.frame_id = frame
        message.point.x, message.point.y, message.point.z = goal.tolist()
        publisher.publish(message)

    def away(state: RobotState) -> float:
        tip = task.robot.kinematics.positions("tip", np.array([state.position]))[0]
        return float(np.linalg.norm(tip - goal))

    with (
        Listener(client.node, RobotState, "state", RECORDER) as states,
        Listener(client.node, DiagnosticArray, "/diagnostics", RECORDER) as told,
    ):
        client.activate("ilqr_mpc")
        for frame, near in (("tool", False), ("world", True)):
            deadline = time.monotonic() + 20.0
            while time.monotonic() < deadline:
                tell(frame)
                heard = len(states.messages)
                states.wait(lambda m, heard=heard: len(m) > heard)
                if near and away(states.messages[-1]) < 0.01:
                    break
                if not near and figure(told, "mpc_controller", "failures") > 0:
                    break
            assert (away(states.messages[-1]) < 0.01) == near
        told.wait(lambda _: figure(told, "mpc_controller", "targets pursued") > 0)


def figure(told: Listener, node: str, key: str) -> int:
    """The newest figure of a node's diagnostics; 0 before it has told any."""
    found = [v.value for m in told.messages for s in m.status if node in s.name for v in s.values if v.key == key]
    return int(found[-1]) if found else 0


@pytest.mark.launch(fixture=graph)
def test_a_strict_switch_that_cannot_happen_changes_nothing_and_says_why(client: GraphClient) -> None:
    client.plan("ilqr_controller", 0)
    client.wait_status(lambda s: any(c.name == "ilqr_feedback" and c.law_sequence for c in s.controllers))
    before = client.status().switches
    with pytest.raises(RefusedError, match="no controller 'ilqr_feedbak'; did you mean 'ilqr_feedback'"):
        client.switch(["ilqr_feedbak"], ["hold"])
    with pytest.raises(RefusedError, match="'hold' is active and claims the same joints, as 'ilqr_feedback' does"):
        client.switch(["ilqr_feedback"])
    status = client.status()
    assert status.active_controller == "hold"
    assert status.switches == before
    # best effort leaves the unknown one out and does the rest
    account = client.switch(["ilqr_feedback", "nobody"], ["hold"], strictness=SwitchController.Request.BEST_EFFORT)
    assert "left out: no controller 'nobody'" in account
    client.wait_status(lambda s: s.active_controller == "ilqr_feedback")


@pytest.mark.launch(fixture=graph)
def test_a_law_that_must_not_run_is_refused_and_its_controller_does_not_appear(
    client: GraphClient,
) -> None:
    task = load_task("arm_reach")
    good = convert.controller_to_msg(task_controller(task, plan_task(task, 0, max_iterations=2)))

    def load(**changes: object) -> None:
        message = convert.controller_to_msg(convert.controller_from_msg(good))
        for name, value in changes.items():
            setattr(message, name, value)
        client.load(LoadController.Request(name="loaded", type="linear_gaussian", law=[message]))

    gains = np.array(good.gains)
    for changes, words in (
        ({"gains": np.where(gains == gains[0], np.nan, gains).tolist()}, "gains.*finite"),
        ({"gains": (1e7 * gains).tolist()}, "above max_gain"),
        ({"gains": gains[:-1].tolist()}, "gains"),
        ({"joint_names": list(reversed(good.joint_names))}, "joint"),
    ):
        with pytest.raises(RefusedError, match=words):
            load(**changes)
        assert "loaded" not in [c.name for c in client.controllers()]
    load()
    client.activate("loaded")
    client.wait_status(lambda s: s.active_controller == "loaded")
    client.activate("hold")
    client.unload("loaded")


@pytest.mark.launch(fixture=graph)
def test_an_emergency_stop_is_latched_until_it_is_reset_and_a_controller_is_activated_anew(
    client: GraphClient,
) -> None:
    with Listener(client.node, JointCommand, "joint_commands", RECORDER) as heard:
        heard.wait(lambda m: m and m[-1].controller == "hold")
        client.emergency_stop("a test")
        heard.wait(lambda m: m[-1].controller == "emergency_stop")
    status = client.wait_status(lambda s: s.mode == "emergency_stop")
    assert status.reason == "a test"
    with pytest.raises(RefusedError, match="emergency stop is latched .a test.; reset it first"):
        client.switch(["hold"])
    client.reset_emergency_stop()
    assert client.wait_status(lambda s: s.mode == "idle").active_controller == ""
    client.switch(["hold"])
    client.wait_status(lambda s: s.mode == "active")


@pytest.mark.launch(fixture=graph)
def test_the_end_of_a_horizon_leaves_the_robot_held_where_it_is(client: GraphClient) -> None:
    client.plan("ilqr_controller", 0)
    client.wait_status(lambda s: any(c.name == "ilqr_feedback" and c.law_sequence for c in s.controllers))
    before = client.status().fallbacks
    client.activate("ilqr_feedback")
    status = client.wait_status(lambda s: s.mode == "fallback", 15.0)
    assert "the horizon of 125 steps is over" in status.reason
    # an end that the law foresaw is no fault, and not counted as one
    assert status.fallbacks == before


@pytest.mark.launch(fixture=graph)
def test_a_switch_waits_for_the_law_of_its_controller_while_the_hold_goes_on(client: GraphClient) -> None:
    client.load(LoadController.Request(name="late", source="late/controller", type="linear_gaussian"))
    with ThreadPoolExecutor(1) as pool, Listener(client.node, ManagerActivity, ACTIVITY, LATCHED) as told:
        account = pool.submit(client.activate, "late", 20.0)
        told.wait(lambda m: m and "'late' has no law yet" in m[-1].pending_switch)
        assert client.status().active_controller == "hold"
        publisher = client.node.create_publisher(LinearGaussianController, "late/controller", LAWS)
        publisher.publish(LAW.message(sequence=1))
        assert account.result(20.0) == "'late' active; 'hold' inactive"
        told.wait(lambda m: m[-1].pending_switch == "" and "late" in active(m[-1]))
    client.activate("hold")
    client.node.destroy_publisher(publisher)
    with pytest.raises(RefusedError, match=r"'ilqr_feedbak'"):
        client.activate("ilqr_feedbak", 20.0)


@pytest.mark.launch(fixture=graph)
def test_a_switch_that_waited_in_vain_is_refused_and_a_newer_one_takes_the_place_of_one_that_waits(
    client: GraphClient,
) -> None:
    client.load(LoadController.Request(name="never", source="never/controller", type="linear_gaussian", replace=True))
    with pytest.raises(RefusedError, match=r"'never' has no law yet.*; waited 0\.1 s for it"):
        client.activate("never", 0.1)
    with ThreadPoolExecutor(1) as pool, Listener(client.node, ManagerActivity, ACTIVITY, LATCHED) as told:
        first = pool.submit(client.activate, "never", 20.0)
        told.wait(lambda m: m and "'never' has no law yet" in m[-1].pending_switch)
        client.activate("hold", restart=True)
        with pytest.raises(RefusedError, match="another request to switch came while it waited: 'never'"):
            first.result(20.0)
    assert client.status().active_controller == "hold"


@pytest.mark.launch(fixture=graph)
def test_a_source_that_was_started_anew_counts_from_one_again_and_a_rewound_message_is_refused(
    client: GraphClient,
) -> None:
    def number() -> int:
        return next(c.law_sequence for c in client.controllers() if c.name == "again")

    def publish(sequence: int) -> None:
        publisher.publish(LAW.message(sequence))

    client.load(LoadController.Request(name="again", source="again/controller", type="linear_gaussian"))
    publisher = client.node.create_publisher(LinearGaussianController, "again/controller", LAWS)
    publish(7)
    client.wait_status(lambda s: any(c.name == "again" and c.law_sequence == 7 for c in s.controllers))
    publish(3)
    client.wait_status(lambda s: "sequence number 3 is not above 7" in s.last_refusal)
    assert number() == 7
    client.node.destroy_publisher(publisher)
    publisher = client.node.create_publisher(LinearGaussianController, "again/controller", LAWS)
    publish(1)
    client.wait_status(lambda s: any(c.name == "again" and c.law_sequence == 1 for c in s.controllers))
    client.node.destroy_publisher(publisher)


@pytest.mark.launch(fixture=graph)
def test_two_publishers_of_the_active_controllers_laws_cost_it_the_robot(client: GraphClient) -> None:
    client.load(LoadController.Request(name="twice", source="twice/controller", type="linear_gaussian"))
    first = client.node.create_publisher(LinearGaussianController, "twice/controller", LAWS)
    first.publish(LAW.message(sequence=1))
    client.activate("twice", 20.0)
    second = client.node.create_publisher(LinearGaussianController, "twice/controller", LAWS)
    status = client.wait_status(lambda s: s.mode == "fallback")
    assert "2 publishers of twice/controller (mbpl_client); one may" in status.reason
    with pytest.raises(RefusedError, match="'twice' cannot start: 2 publishers of twice/controller"):
        client.activate("twice", 0.1)
    client.node.destroy_publisher(second)
    assert client.activate("twice", 20.0) == "'twice' active"
    client.activate("hold")
    client.node.destroy_publisher(first)


@pytest.mark.launch(fixture=graph)
def test_controllers_of_some_joints_run_side_by_side_and_strictly_none_takes_a_joint_of_another(
    client: GraphClient,
) -> None:
    joints = load_task("arm_reach").action.joint_names
    claims = Claims(load_task("arm_reach").action)
    for name, some in (("upper", joints[:4]), ("lower", joints[4:]), ("wrist", joints[-1:])):
        law = LAW.part(claims.of(some))
        client.load(LoadController.Request(name=name, type="linear_gaussian", mode="mean", law=[law], replace=True))
    account = client.switch(["upper", "lower"], ["hold"])
    assert account == "'upper' active; 'lower' active; 'hold' inactive"
    with Listener(client.node, JointCommand, "joint_commands", RECORDER) as heard:
        heard.wait(lambda m: m and m[-1].controller == "upper + lower")
    with pytest.raises(RefusedError, match=f"'lower' is active and claims joint {joints[-1]}, as 'wrist' does"):
        client.switch(["wrist"])
    client.activate("wrist")
    states = {c.name: c for c in client.controllers()}
    assert (states["upper"].state, states["lower"].state, states["wrist"].state) == ("active", "inactive", "active")
    assert states["wrist"].claimed_interfaces == [f"{joints[-1]}/effort"]
    with Listener(client.node, ManagerActivity, ACTIVITY, LATCHED) as told:
        told.wait(lambda m: m and m[-1].held_joints == list(joints[4:-1]))
        assert active(told.messages[-1]) == {"upper": list(joints[:4]), "wrist": [joints[-1]]}
    client.activate("hold")
    assert client.wait_status(lambda s: s.mode == "active").active_controller == "hold"
