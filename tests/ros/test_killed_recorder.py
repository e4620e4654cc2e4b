"""A bag whose recorder was killed in the middle of a trial."""

from __future__ import annotations

import signal
from pathlib import Path

import launch_pytest
import psutil
import pytest
from bringup import SERVICES, bringup, patient
from launch import LaunchDescription
from mbpl_msgs.action import RunTrial

from mbpl_control.bags import read_episode
from mbpl_control.bags.writer import FLUSH_PERIOD
from mbpl_control.nodes.client import GraphClient


@launch_pytest.fixture(scope="module")
def graph(domain: int, tmp_path_factory: pytest.TempPathFactory) -> LaunchDescription:
    """The graph of arm_reach at the pace of the clock: a trial of 2.5 s is on the disk in part when half of it is over.

    In lockstep a whole trial may take less than the time after which messages are put on the disk.
    """
    config = patient(tmp_path_factory.mktemp("parameters"))
    return bringup(task="arm_reach", mpc="false", log_level="warn", config=config)


@pytest.mark.launch(fixture=graph)
def test_a_recorder_killed_in_a_trial_leaves_a_bag_that_can_be_read(client: GraphClient, tmp_path: Path) -> None:
    client.wait_for_services(SERVICES, 90.0)
    bag = tmp_path / "killed"
    recorder = next(p for p in psutil.process_iter(["cmdline"]) if _is_recorder(p, client))
    sizes: list[int] = []
    killed: list[int] = []

    def kill(feedback: RunTrial.Feedback) -> None:
        if feedback.phase != "run" or killed:
            return
        sizes.append((bag / "killed.mcap").stat().st_size)
        # what was put on the disk since the trial runs holds states of it
        if sizes[-1] > sizes[0] and feedback.step > feedback.steps // 2:
            recorder.send_signal(signal.SIGKILL)
            killed.append(feedback.step)

    result = client.run_trial(
        RunTrial.Goal(controller="ilqr_feedback", seed=3, record=True, bag=str(bag)), on_feedback=kill
    )
    # the trial itself is not lost with the recorder
    assert killed and result.ok and result.trial.steps == 125
    episode = read_episode(bag)
    assert not episode.complete
    assert episode.metadata["task"] == "arm_reach"
    assert episode.counts["/mbpl/state"] == len(episode.states) > 0
    # but for what came within the last period, with as much again for a busy machine
    assert episode.duration > 0.5 * 2.5 - 2 * FLUSH_PERIOD


def _is_recorder(process: psutil.Process, client: GraphClient) -> bool:
    """Whether this is the recorder of this test's own domain."""
    if not any("bag_recorder" in part for part in process.info["cmdline"] or ()):
        return False
    try:
        return process.environ().get("ROS_DOMAIN_ID") == str(client.context.get_domain_id())
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return False
