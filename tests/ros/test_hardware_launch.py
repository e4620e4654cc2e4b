"""The whole graph on a robot that is there as a driver only."""

from __future__ import annotations

import re
from pathlib import Path

import launch_pytest
import pytest
from bringup import bringup
from launch import LaunchDescription
from launch.actions import ExecuteProcess
from machines import driver, robot_file, running
from mbpl_msgs.action import RunTrial

from mbpl_control.cli.check_joints import check_joints
from mbpl_control.nodes.client import GraphClient

pytestmark = pytest.mark.timeout(900)  # s; the joints are checked one by one, at their own pace


@launch_pytest.fixture(scope="module")
def graph(domain: int, tmp_path_factory: pytest.TempPathFactory) -> LaunchDescription:
    """hardware.launch.py, and a driver whose controller has the joints in an order of its own."""
    path = robot_file(tmp_path_factory.mktemp("robot"))
    robot = ExecuteProcess(cmd=driver("ros2_control"))
    description = bringup(
        "hardware.launch.py", robot=str(path), task="arm_reach", mpc="false", record="false", log_level="warn"
    )
    return LaunchDescription([robot, *description.entities])


@pytest.mark.launch(fixture=graph)
def test_once_its_joints_are_confirmed_the_robot_reaches_within_a_centimetre(client: GraphClient) -> None:
    client.wait_for_services(["ilqr_controller/plan", "hardware_bridge/check_joint"], 240.0)
    client.wait_status(lambda s: s.state_age >= 0.0, 120.0)
    assert check_joints(False, "/mbpl", lambda _: True)
    # a trial on hardware is led to its start at a third of the speed limits
    result = client.run_trial(RunTrial.Goal(controller="ilqr_feedback", condition=1), deadline=180.0)
    assert result.final_distance < 0.01


def test_a_robot_file_that_is_wrong_starts_nothing(tmp_path: Path, domain: int) -> None:
    path = robot_file(tmp_path, joints=["pan"])
    log = tmp_path / "launch.log"
    with running(["ros2", "launch", "mbpl_bringup", "hardware.launch.py", f"robot:={path}"], log) as process:
        assert process.wait(240.0) != 0
    printed = log.read_text()
    assert re.search(r"arm\.yaml:\d+: joints: 'lift' is missing; arm7\.xml drives it, too", printed)
    assert "process started" not in printed
