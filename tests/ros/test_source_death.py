"""A planner that dies while its stream of laws commands, and its successor, which counts from one again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import launch_pytest
import pytest
from bringup import SERVICES
from launch import LaunchDescription
from launch_pytest.actions import ReadyToTest
from launch_ros.actions import Node as NodeAction
from listening import Listener
from mbpl_msgs.msg import JointCommand

from mbpl_control.core import MbplError
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import RECORDER

TASK = "reacher_2link"
MPC = "ilqr_mpc"


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """Simulation, estimator and manager in real time; the planner is the test's own process."""
    nodes = [
        NodeAction(package=package, executable=kind, name=kind, namespace="/mbpl", parameters=[{"task": TASK}])
        for package, kind in (
            ("mbpl_sim", "mujoco_sim"),
            ("mbpl_control", "state_estimator"),
            ("mbpl_control", "controller_manager"),
        )
    ]
    return LaunchDescription([*nodes, ReadyToTest()])


@contextmanager
def planner() -> Iterator[subprocess.Popen[bytes]]:
    """A receding-horizon planner in a process of its own."""
    settings = {"task": TASK, "mode": "mpc", "autostart": "true"}
    arguments = [part for name, value in settings.items() for part in ("-p", f"{name}:={value}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "mbpl_control.nodes.ilqr_controller", "--ros-args"]
        + ["-r", "__ns:=/mbpl", "-r", "__node:=mpc_controller", *arguments],
        stdin=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10.0)


def follow(client: GraphClient) -> None:
    """Have the planner plan towards the target, and the manager follow it."""
    client.wait_for_services(["mpc_controller/plan"], 60.0)
    # to DDS a killed server is there for its lease of 20 s, so a request may go out before the new one is met
    end = time.monotonic() + 60.0
    while True:
        try:
            client.plan("mpc_controller", 0, timeout=3.0)
            break
        except MbplError as error:
            assert "gave no answer" in str(error), error
            assert time.monotonic() < end, error
    client.activate(MPC, 20.0, restart=True)
    client.wait_status(lambda s: s.active_controller == MPC)


@pytest.mark.launch(fixture=graph)
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=lambda s: s.name)
def test_a_planner_that_dies_is_noticed_and_one_that_takes_its_place_is_followed(
    client: GraphClient, blow: signal.Signals
) -> None:
    client.wait_for_services(SERVICES[:2], 60.0)
    client.reset_sim(0)
    client.activate("hold", 20.0, restart=True)
    with planner() as first, Listener(client.node, JointCommand, "joint_commands", RECORDER) as heard:
        follow(client)
        heard.wait(lambda m: m and m[-1].controller == MPC)
        os.kill(first.pid, blow)
        heard.wait(lambda m: m[-1].controller == "fallback")
        status = client.wait_status(lambda s: s.mode == "fallback")
        assert f"'{MPC}'" in status.reason or "nobody publishes" in status.reason
    with planner():
        follow(client)
        status = client.status()
        assert (status.mode, status.active_controller) == ("active", MPC)
        client.activate("hold")
