"""`ros2 node`, `topic`, `service` and `action`: looking at the graph and asking its nodes."""

from __future__ import annotations

import re
import signal

import pytest

#: A node with a topic of each quality, a service and an action.
PARTNER = """\
import sys
import rclpy
from geometry_msgs.msg import Pose, PoseArray
from mbpl_msgs.action import RunTrial
from rclpy.action import ActionServer
from rclpy.node import Node
from rclpy.qos import QoSProfile, DurabilityPolicy, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

rclpy.init(args=sys.argv)
node = Node("partner", namespace="space", start_parameter_services=False)
fast = node.create_publisher(Float64MultiArray, "fast", QoSProfile(
    depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
kept = node.create_publisher(PoseArray, "kept", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
poses = PoseArray(poses=[Pose()])
poses.poses[0].position.x = 1.5
poses.header.frame_id = "world"
kept.publish(poses)
node.create_timer(0.02, lambda: fast.publish(Float64MultiArray(data=[1.0, 2.0])))


def answer(request, response):
    response.success = request.data
    response.message = f"was told {request.data}"
    return response


def trial(goal):
    feedback = RunTrial.Feedback()
    goal.publish_feedback(feedback)
    if goal.request.controller == "good":
        goal.succeed()
    else:
        goal.abort()
    return RunTrial.Result()


node.create_service(SetBool, "switch", answer)
server = ActionServer(node, RunTrial, "trial", trial)
print("partner is there", flush=True)
rclpy.spin(node)
"""

#: The partner is looked for by the command itself, in its own domain.
SEARCH = ("--no-daemon", "--spin-time", "1")

#: How often a command is tried that may not have found the partner on a busy machine.
TRIES = 20


@pytest.fixture
def partner(bench):
    """The workbench, with the node running."""
    bench.add_program("partner", PARTNER)
    bench.start("run", "probe", "partner").wait_for_line("partner is there")
    return bench


def repeated(bench, *words):
    """What a command has printed when it ended well: the genuine one may end without having found the partner."""
    for _ in range(TRIES):
        result = bench.ros2(*words)
        if result.code == 0:
            return result
    raise AssertionError(result.text)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("node", "list"), "/space/partner"),
        (("topic", "list"), "/space/fast"),
        (("topic", "list", "-t"), "/space/kept [geometry_msgs/msg/PoseArray]"),
        (("service", "list"), "/space/switch"),
    ],
    ids=str,
)
def test_what_is_in_the_graph_is_listed(partner, words, line):
    for _ in range(TRIES):
        lines = partner.ros2(*words, *SEARCH).lines
        if line in lines:
            break
    assert line in lines
    assert [name for name in lines if "/_" in name] == [], "the command itself is no part of what it lists"


def test_one_message_is_shown_whatever_the_quality_of_its_topic(partner):
    fast = repeated(partner, "topic", "echo", "/space/fast", "--once", *SEARCH)
    assert "data:" in fast.text and fast.lines[-1] == "---"
    kept = repeated(partner, "topic", "echo", "/space/kept", "--once", *SEARCH)
    assert "frame_id: world" in kept.text and "x: 1.5" in kept.text


def test_messages_are_shown_until_ctrl_c(partner):
    command = partner.start("topic", "echo", "/space/fast", *SEARCH)
    for _ in range(3):
        command.wait_for_line("---")
    command.process.send_signal(signal.SIGINT)
    assert command.finish() == signal.SIGINT, command.lines


def test_the_rate_of_a_topic_is_measured(partner):
    command = partner.start("topic", "hz", "/space/fast", "--spin-time", "1", PYTHONUNBUFFERED="1")
    rate = float(command.wait_for_line("average rate: ").rpartition(" ")[2])
    window = re.search(r"window: (\d+)", command.wait_for_line("window: "))
    assert window and int(window[1]) > 1
    # The node publishes at 50 Hz at most; how much less depends on the machine.
    assert 0.0 < rate < 75.0
    command.process.send_signal(signal.SIGINT)
    assert command.finish() == signal.SIGINT, command.lines


def test_a_service_is_called_and_its_answer_shown(partner):
    result = partner.ros2("service", "call", "/space/switch", "std_srvs/srv/SetBool", "{data: true}")
    assert result.code == 0
    assert "std_srvs.srv.SetBool_Response(success=True, message='was told True')" in result.lines


def test_a_goal_is_sent_and_its_result_shown(partner):
    result = partner.ros2(
        "action", "send_goal", "--feedback", "/space/trial", "mbpl_msgs/action/RunTrial", "{controller: good}"
    )
    assert result.code == 0
    assert "Goal finished with status: SUCCEEDED" in result.lines
    assert "Feedback:" in result.lines and "Result:" in result.lines
    failed = partner.ros2("action", "send_goal", "/space/trial", "mbpl_msgs/action/RunTrial", "{controller: bad}")
    assert "Goal finished with status: ABORTED" in failed.lines


@pytest.mark.parametrize(
    "words",
    [
        ("service", "call", "/x", "no_such_msgs/srv/Type"),
        ("service", "call", "/x", "std_srvs/srv/Nothing"),
        ("service", "call", "/x", "std_srvs/srv/SetBool", "{nothing: 1}"),
        ("action", "send_goal", "/x", "mbpl_msgs/action/Nothing", "{}"),
    ],
    ids=" ".join,
)
def test_a_type_or_field_that_does_not_exist_is_an_error(bench, words):
    assert bench.ros2(*words).code == 1
