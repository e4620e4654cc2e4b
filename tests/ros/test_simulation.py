"""The simulated robot as a node: pause, step, reset, push, and what it refuses."""

from __future__ import annotations

import launch_pytest
import numpy as np
import pytest
from launch import LaunchDescription
from launch_pytest.actions import ReadyToTest
from launch_ros.actions import Node
from listening import Listener
from mbpl_msgs.msg import JointCommand
from mbpl_msgs.srv import StepSim
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from mbpl_control.core import RefusedError
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import LATCHED, RECORDER
from mbpl_control.tasks import load_task


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """The simulation alone, in real time, without noise."""
    return LaunchDescription(
        [
            Node(
                package="mbpl_sim",
                executable="mujoco_sim",
                namespace="mbpl",
                parameters=[{"task": "arm_reach", "rate": 200.0, "position_noise": 0.0, "velocity_noise": 0.0}],
            ),
            ReadyToTest(),
        ]
    )


@pytest.fixture(autouse=True)
def _it_runs_from_the_start(client: GraphClient) -> None:
    client.wait_for_services(["mujoco_sim/reset", "mujoco_sim/pause"], 60.0)
    client.pause_sim(False)
    client.reset_sim(0)


def _stamp(message: JointState) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.mark.launch(fixture=graph)
def test_joint_states_carry_stamps_one_period_apart_and_the_clock_follows(client: GraphClient) -> None:
    with Listener(client.node, JointState, "joint_states", RECORDER) as states:
        with Listener(client.node, Clock, "/clock", RECORDER) as clocks:
            states.wait(lambda m: len(m) > 100)
            clocks.wait(lambda m: len(m) > 20)
        steps = np.diff([_stamp(m) for m in states.messages])
    assert (steps > 0).all()
    assert (steps == 5_000_000).mean() > 0.9
    times = [c.clock.sec * 10**9 + c.clock.nanosec for c in clocks.messages]
    assert times == sorted(times)


@pytest.mark.launch(fixture=graph)
def test_a_pause_stops_the_clock_and_steps_advance_it_by_whole_periods(client: GraphClient) -> None:
    with Listener(client.node, JointState, "joint_states", RECORDER) as states:
        client.pause_sim(True)
        # in a pause the same state is sent again and again
        states.wait(lambda m: len(m) > 5 and len({_stamp(s) for s in m[-5:]}) == 1)
        before = _stamp(states.messages[-1])
        answer = client._checked(StepSim, "mujoco_sim/step", StepSim.Request(steps=7))
        after = answer.stamp.sec * 10**9 + answer.stamp.nanosec
        assert after - before == 7 * 5_000_000
        states.wait(lambda m: _stamp(m[-1]) == after)
    with pytest.raises(RefusedError, match="at most 100000"):
        client._checked(StepSim, "mujoco_sim/step", StepSim.Request(steps=4_000_000_000))


@pytest.mark.launch(fixture=graph)
def test_without_commands_the_joints_are_locked_and_a_push_does_not_move_them(client: GraphClient) -> None:
    start = load_task("arm_reach").conditions[0].state
    client.disturb("forearm", (0.0, 50.0, 0.0), duration=0.2)
    with Listener(client.node, JointState, "joint_states", RECORDER) as states:
        states.wait(lambda m: len(m) > 80)
        for message in states.messages:
            np.testing.assert_allclose(message.position, start[:7], atol=1e-12)
            np.testing.assert_allclose(message.velocity, 0.0, atol=1e-12)


@pytest.mark.launch(fixture=graph)
def test_a_push_with_no_such_body_and_a_reset_of_wrong_size_are_refused_with_what_there_is(
    client: GraphClient,
) -> None:
    with pytest.raises(RefusedError, match="body.*'nose'.*one of .*forearm"):
        client.disturb("nose", (1.0, 0.0, 0.0))
    with pytest.raises(RefusedError, match=r"\(14,\)"):
        client.reset_sim_to(np.zeros(10), 0, 0.1)
    with pytest.raises(RefusedError, match="no start condition 77; there are 20"):
        client.reset_sim(77)
    with pytest.raises(RefusedError, match="0 to 60"):
        client.reset_sim_to(np.zeros(14), 0, 61.0)


@pytest.mark.launch(fixture=graph)
def test_parameters_outside_their_range_are_refused_and_the_others_take_effect(client: GraphClient) -> None:
    with pytest.raises(RefusedError, match="mass_scale"):
        client.set_parameters("mujoco_sim", {"mass_scale": 50.0})
    with pytest.raises(RefusedError, match="rate"):
        client.set_parameters("mujoco_sim", {"rate": 100.0})
    client.set_parameters("mujoco_sim", {"position_noise": 0.01})
    with Listener(client.node, JointState, "joint_states", RECORDER) as states:
        states.wait(lambda m: len(m) > 300)
        q = np.array([m.position for m in states.messages[-300:]])
    client.set_parameters("mujoco_sim", {"position_noise": 0.0})
    # 300 draws of seven joints that stand still: the estimate of sigma is within 5 % by far
    assert q.std(axis=0).mean() == pytest.approx(0.01, rel=0.1)


@pytest.mark.launch(fixture=graph)
def test_commands_for_other_joints_or_with_numbers_that_are_not_finite_never_act(client: GraphClient) -> None:
    task = load_task("arm_reach")
    publisher = client.node.create_publisher(JointCommand, "joint_commands", RECORDER)
    names = list(task.action.joint_names)
    bad = (
        JointCommand(joint_names=names[::-1], interface="effort", values=[50.0] * 7),
        JointCommand(joint_names=names, interface="velocity", values=[50.0] * 7),
        JointCommand(joint_names=names, interface="effort", values=[float("nan")] * 7),
        JointCommand(joint_names=names, interface="effort", values=[50.0] * 6),
    )
    with Listener(client.node, JointState, "joint_states", RECORDER) as states:
        states.wait(lambda m: publisher.get_subscription_count() and m)
        for message in bad:
            publisher.publish(message)
            count = len(states.messages)
            states.wait(lambda m, count=count: len(m) > count + 10)
        last = states.messages[-1]
    client.node.destroy_publisher(publisher)
    np.testing.assert_allclose(last.position, task.conditions[0].state[:7], atol=1e-12)


@pytest.mark.launch(fixture=graph)
def test_whoever_joins_late_still_gets_the_robots_description(client: GraphClient) -> None:
    with Listener(client.node, String, "robot_description", LATCHED) as heard:
        text = heard.wait(lambda m: m)[0].data
    assert text == load_task("arm_reach").robot.description
