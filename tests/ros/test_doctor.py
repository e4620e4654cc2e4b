"""The doctor on a healthy graph, and on graphs that are broken on purpose: it names each fault, and what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import launch_pytest
import pytest
import rclpy
from domain_coordinator import domain_id
from launch import LaunchDescription
from launch_pytest.actions import ReadyToTest
from launch_ros.actions import Node as NodeAction
from mbpl_msgs.msg import LinearGaussianController
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

from mbpl_control.doctor.collector import Collector
from mbpl_control.doctor.finding import Finding, Verdict
from mbpl_control.doctor.graph_checks import check_graph
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import LAWS

TASK, OTHER_TASK = "pendulum_swingup", "reacher_2link"
RATE = 100.0
LAWS_TOPIC = "ilqr_controller/controller"


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """Manager and recorder; what is broken here are processes of the test's own."""
    nodes = [
        NodeAction(
            package="mbpl_control",
            executable=kind,
            name=kind,
            namespace="/mbpl",
            parameters=[{"task": TASK, **parameters}],
            ros_arguments=["--log-level", "error"],
        )
        for kind, parameters in (("controller_manager", {"rate": RATE}), ("bag_recorder", {}))
    ]
    return LaunchDescription([*nodes, ReadyToTest()])


@contextmanager
def running(module: str, **parameters: object) -> Iterator[subprocess.Popen[bytes]]:
    """A node in a process of its own."""
    settings = [part for key, value in parameters.items() for part in ("-p", f"{key}:={value}")]
    arguments = ["--ros-args", "--log-level", "error", "-r", "__ns:=/mbpl", *settings]
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(20.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10.0)


@pytest.fixture(scope="module")
def robot(domain: int) -> Iterator[subprocess.Popen[bytes]]:
    """The robot of the graph."""
    with running("mbpl_sim.mujoco_sim", task=TASK, rate=RATE) as process:
        yield process


@pytest.fixture(scope="module")
def estimator(domain: int) -> Iterator[subprocess.Popen[bytes]]:
    """The estimator of the graph."""
    with running("mbpl_control.nodes.state_estimator", task=TASK) as process:
        yield process


@pytest.fixture(scope="module")
def whole(client: GraphClient, robot: subprocess.Popen[bytes], estimator: subprocess.Popen[bytes]) -> GraphClient:
    """A client of the graph once all of it is there."""
    client.wait_for_services(["mujoco_sim/reset", "controller_manager/switch_controller", "bag_recorder/start"], 90.0)
    return client


@contextmanager
def intruder(**parameters: object) -> Iterator[Node]:
    """A node that does not belong into the graph, and answers."""
    context = Context()
    rclpy.init(context=context)
    given = [Parameter(name, value=value) for name, value in parameters.items()]
    node = rclpy.create_node("intruder", namespace="/mbpl", context=context, parameter_overrides=given)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    ended = threading.Event()

    def spin() -> None:
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield node
    finally:
        ended.set()
        thread.join(5.0)
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def until(client: GraphClient, *conditions: Callable[[list[Finding]], bool], deadline: float = 60.0) -> list[Finding]:
    """What the doctor finds once all of this holds: nodes take a while to come and go."""
    end = time.monotonic() + deadline
    while True:
        found = check_graph(Collector(client, seconds=1.0, patience=1.0).look())
        if all(condition(found) for condition in conditions):
            return found
        assert time.monotonic() < end, "\n".join(f"{f.verdict.value}: {f.check}: {f.found}" for f in found)


def fails(check: str, *words: str) -> Callable[[list[Finding]], bool]:
    """Whether a check fails in these words, with a remedy."""

    def condition(found: list[Finding]) -> bool:
        texts = [f.found for f in found if f.check == check and f.verdict is Verdict.FAIL and f.remedy]
        return any(all(word in text for word in words) for text in texts)

    return condition


def passes(found: list[Finding]) -> bool:
    return all(f.verdict is not Verdict.FAIL for f in found)


def doctor(*arguments: str, **environment: str) -> tuple[int, dict]:
    """Exit code and account of the command."""
    ended = subprocess.run(
        [sys.executable, "-m", "mbpl_control.cli.main", "doctor", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=120.0,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    return ended.returncode, json.loads(ended.stdout)


@pytest.mark.launch(fixture=graph)
def test_a_healthy_graph_passes(whole: GraphClient) -> None:
    found = until(whole, passes)
    checks = {"nodes", "task", "clock", "quality of service", "publishers", "rates", "model", "mode", "states", "bags"}
    assert checks <= {f.check for f in found}
    code, account = doctor("--seconds", "1")
    assert code == 0 and account["passes"], account


@pytest.mark.launch(fixture=graph)
def test_from_another_domain_the_graph_is_not_seen_and_its_own_domain_is_named(whole: GraphClient, domain: int) -> None:
    with domain_id() as elsewhere:
        code, account = doctor(ROS_DOMAIN_ID=str(elsewhere))
    assert code == 1
    (finding,) = account["graph"]
    assert f"no node below /mbpl in domain {elsewhere}" in finding["found"]
    assert f"/mbpl in domain {domain}" in finding["found"]
    assert "ROS_DOMAIN_ID" in finding["remedy"]


@pytest.mark.launch(fixture=graph)
def test_a_node_on_another_clock_than_the_others_is_named(whole: GraphClient) -> None:
    with intruder(use_sim_time=True):
        until(whole, fails("clock", "use_sim_time is true for /mbpl/intruder alone"))
    until(whole, passes)


@pytest.mark.launch(fixture=graph)
def test_publishers_of_laws_that_do_not_reach_the_manager_or_are_two_are_named(whole: GraphClient) -> None:
    with intruder() as node:
        # rclpy's default profile shows no sign of life that the manager could go by
        node.create_publisher(LinearGaussianController, LAWS_TOPIC, QoSProfile(depth=1))
        found = until(
            whole, fails("quality of service", LAWS_TOPIC, "/mbpl/intruder", "/mbpl/controller_manager", "liveliness")
        )
        assert any("`LAWS` of nodes/qos.py" in f.remedy for f in found)
        node.create_publisher(LinearGaussianController, LAWS_TOPIC, LAWS)
        until(whole, fails("publishers", f"{LAWS_TOPIC} has 2"))
    until(whole, passes)


@pytest.mark.launch(fixture=graph)
def test_an_emergency_stop_that_is_latched_is_named(whole: GraphClient) -> None:
    whole.emergency_stop("a test")
    found = until(whole, fails("mode", "emergency stop is latched: a test"))
    assert any("mbpl estop --reset" in f.remedy for f in found)
    whole.reset_emergency_stop()
    until(whole, passes)


@pytest.mark.launch(fixture=graph)
def test_an_estimator_that_hangs_is_named_and_so_is_the_silence_it_leaves(
    whole: GraphClient, estimator: subprocess.Popen[bytes]
) -> None:
    estimator.send_signal(signal.SIGSTOP)
    until(
        whole,
        fails("nodes", "/mbpl/state_estimator does not answer"),
        fails("rates", "nothing comes on state", "/mbpl/state_estimator"),
        fails("states", "the manager's newest state is"),
    )
    estimator.send_signal(signal.SIGCONT)
    until(whole, passes)


@pytest.mark.launch(fixture=graph)
def test_another_robot_at_another_rate_is_named_joint_by_joint(
    whole: GraphClient, robot: subprocess.Popen[bytes]
) -> None:
    robot.terminate()
    robot.wait(20.0)
    until(whole, fails("publishers", "nobody publishes joint_states"))
    with running("mbpl_sim.mujoco_sim", task=OTHER_TASK, rate=0.3 * RATE):
        found = until(
            whole,
            fails("task", TASK, OTHER_TASK),
            fails("rates", "joint_states comes at", "expected are 100"),
            fails("model", "joint_states has", "missing"),
            fails("model", "robot_description is not the robot file of the manager's task"),
        )
    assert not passes(found)
