"""The command `mbpl` on the running graph, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import launch_pytest
import pytest
from bringup import SERVICES, bringup
from launch import LaunchDescription

from mbpl_control.nodes.client import GraphClient


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """The graph of arm_reach in lockstep, with the recorder."""
    return bringup(task="arm_reach", mode="lockstep", mpc="false", log_level="warn")


def mbpl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a terminal's width and without input."""
    return subprocess.run(
        [sys.executable, "-m", "mbpl_control.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120.0,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.launch(fixture=graph)
def test_status_switch_trial_and_estop_do_what_they_say(client: GraphClient, tmp_path: Path) -> None:
    client.wait_for_services(SERVICES, 90.0)
    assert mbpl("switch", "hold").stdout.strip() == "'hold' active"
    status = json.loads(mbpl("status", "--json").stdout)
    assert (status["mode"], status["active_controller"]) == ("active", "hold")
    table = mbpl("status", "--once").stdout
    assert "hold" in table and "200 Hz" in table

    bag, file = tmp_path / "bag", tmp_path / "trial.npz"
    ran = mbpl("trial", "ilqr_feedback", "--condition", "1", "--json", "--bag", str(bag), "--save", str(file))
    assert ran.returncode == 0
    outcome = json.loads(ran.stdout)
    assert outcome["success"] and outcome["steps"] == 125 and outcome["bag"] == str(bag)
    assert file.is_file()
    shown = json.loads(mbpl("bags", "info", str(bag), "--json").stdout)
    assert shown["complete"] and shown["metadata"]["controller"] == "ilqr_feedback"

    assert "latched" in mbpl("estop", "--reason", "a test").stdout
    refused = mbpl("switch", "hold")
    assert refused.returncode == 2
    assert refused.stderr.strip() == "error: emergency stop is latched (a test); reset it first"
    assert mbpl("estop", "--reset").returncode == 0
    assert client.wait_status(lambda s: s.mode == "idle")


@pytest.mark.launch(fixture=graph)
def test_a_mistyped_controller_is_one_line_with_the_nearest_name_and_exit_code_2(client: GraphClient) -> None:
    client.wait_for_services(SERVICES, 90.0)
    ended = mbpl("switch", "ilqr_fedback")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: no controller 'ilqr_fedback'; did you mean 'ilqr_feedback'?")
    assert len(ended.stderr.strip().splitlines()) == 1


def test_without_a_graph_the_command_says_so_and_how_to_start_one(domain: int) -> None:
    ended = mbpl("status", "--once", "--namespace", "/nobody")
    assert ended.returncode == 2
    assert "no fitting status on /nobody/status within 5 s (none came)" in ended.stderr
    assert "ros2 launch mbpl_bringup mbpl.launch.py" in ended.stderr
