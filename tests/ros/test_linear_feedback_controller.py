"""The bridge against a process that evaluates `Control` messages at 1 kHz, as linear-feedback-controller does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import lfc_messages
import numpy as np
import pytest
from machines import Record, bridge, driver, robot_file, running
from mbpl_msgs.action import RunTrial

from mbpl_control.cli.check_joints import check_joints
from mbpl_control.hardware import load_robot_file
from mbpl_control.nodes.client import GraphClient
from mbpl_control.tasks import load_task

pytestmark = pytest.mark.timeout(900)  # s; the messages may have to be built first

TASK = load_task("arm_reach")


@pytest.fixture(scope="module")
def environment(domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    yield {**os.environ, **lfc_messages.environment(tmp_path_factory.mktemp("messages")), "ROS_DOMAIN_ID": str(domain)}


def launch(path: Path) -> list[str]:
    arguments = {"robot": path, "mpc": "false", "record": "false", "log_level": "warn"}
    words = [f"{name}:={value}" for name, value in arguments.items()]
    return ["ros2", "launch", "mbpl_bringup", "hardware.launch.py", *words]


def test_an_arm_under_it_is_confirmed_and_reaches_within_a_centimetre(environment, tmp_path: Path) -> None:
    path, record = robot_file(tmp_path, "arm7_lfc.yaml", command_timeout=2.0), tmp_path / "record.npy"
    with ExitStack() as stack:
        robot = driver("linear_feedback_controller", record=record)
        stack.enter_context(running(robot, tmp_path / "driver.log", environment))
        stack.enter_context(running(launch(path), tmp_path / "launch.log", environment))
        graph = stack.enter_context(GraphClient(timeout=60.0))
        graph.wait_for_services(["ilqr_controller/plan", "hardware_bridge/check_joint"], 240.0)
        graph.wait_status(lambda s: s.state_age >= 0.0, 120.0)
        assert check_joints(False, "/mbpl", lambda _: True)
        result = graph.run_trial(RunTrial.Goal(controller="ilqr_feedback", condition=1), deadline=180.0)
    assert result.final_distance < 0.01
    seen = Record(record)
    driven = seen.efforts.any(axis=1)
    assert (np.abs(seen.velocities[driven]) < TASK.velocity_limits()).all()
    assert np.isfinite(seen.efforts).all()


def test_a_bridge_without_its_messages_says_how_to_get_them(domain: int, tmp_path: Path) -> None:
    path = robot_file(tmp_path, "arm7_lfc.yaml")
    assert load_robot_file(path, TASK).file.connection.decimation == 4
    log = tmp_path / "bridge.log"
    # hidden from the bridge, for a machine on which they are installed
    hidden = f"import sys; sys.modules['{lfc_messages.PACKAGE}'] = None; "
    program = hidden + "from mbpl_control.nodes.hardware_bridge import main; main()"
    command = bridge(robot_file=path)
    with running([command[0], "-c", program, *command[3:]], log) as process:
        assert process.wait(180.0) == 1
    printed = log.read_text()
    assert "whose messages are not installed" in printed
    assert "https://github.com/loco-3d/linear-feedback-controller-msgs" in printed
