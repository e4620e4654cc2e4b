"""Bags of real trials, opened by the libraries that others use."""

from __future__ import annotations

import json
from pathlib import Path

import launch_pytest
import numpy as np
import pytest
from bringup import SERVICES, bringup
from launch import LaunchDescription
from mbpl_msgs.action import RunTrial
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from mbpl_control.bags import read_episode
from mbpl_control.bags.checks import check_bag
from mbpl_control.bags.inspection import inspect
from mbpl_control.bags.recorded import read_recorded
from mbpl_control.core import RefusedError
from mbpl_control.doctor.finding import passes
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.conversions import trial_from_msg

#: Steps over which the law takes over from the hold.
BLENDED = 10
TOPICS = {
    "/mbpl/joint_states": "sensor_msgs/msg/JointState",
    "/mbpl/state": "mbpl_msgs/msg/RobotState",
    "/mbpl/joint_commands": "mbpl_msgs/msg/JointCommand",
    "/mbpl/applied_law": "mbpl_msgs/msg/FeedbackLaw",
    "/mbpl/status": "mbpl_msgs/msg/ManagerStatus",
    "/mbpl/trials": "mbpl_msgs/msg/Trial",
    "/mbpl/state_definition": "mbpl_msgs/msg/StateDefinition",
    "/mbpl/robot_description": "std_msgs/msg/String",
    "/tf": "tf2_msgs/msg/TFMessage",
}


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where bags go that are given no name."""
    return tmp_path_factory.mktemp("bags")


@launch_pytest.fixture(scope="module")
def graph(domain: int, bags: Path) -> LaunchDescription:
    """The graph of arm_reach in lockstep, with the recorder."""
    return bringup(task="arm_reach", mode="lockstep", mpc="false", log_level="warn", bags=str(bags))


@pytest.fixture(autouse=True)
def _everything_is_up(client: GraphClient) -> None:
    client.wait_for_services(SERVICES, 90.0)


@pytest.mark.launch(fixture=graph)
def test_a_trial_becomes_a_bag_that_rosbags_and_mcap_open_with_all_that_happened(
    client: GraphClient, tmp_path: Path
) -> None:
    bag = tmp_path / "trial"
    result = client.run_trial(
        RunTrial.Goal(controller="ilqr_feedback", seed=3, record=True, bag=str(bag), label="a test", iteration=2)
    )
    assert Path(result.bag) == bag
    # rosbags, with nothing but what the bag itself says of this project's types
    with AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        assert {c.topic: c.msgtype for c in reader.connections}.items() >= TOPICS.items()
        states = [
            reader.deserialize(data, connection.msgtype)
            for connection, _, data in reader.messages()
            if connection.topic == "/mbpl/state"
        ]
    # every state of the trial is in the bag as the trial runner saw it
    trial = trial_from_msg(result.trial)
    recorded = np.array([s.state for s in states])
    for x in trial.states:
        assert (recorded == x).all(axis=1).any()
    # the plain MCAP reader: an index, and the definition of every type
    with open(next(bag.glob("*.mcap")), "rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None and summary.statistics is not None
    assert summary.statistics.message_count > 4 * trial.steps
    schemas = {s.name: s for s in summary.schemas.values()}
    assert b"float64[] position" in schemas["mbpl_msgs/msg/RobotState"].data
    episode = read_episode(bag)
    assert episode.complete
    assert episode.metadata["task"] == "arm_reach"
    assert (episode.metadata["label"], episode.metadata["iteration"]) == ("a test", 2)
    assert episode.metadata["success"] is True
    assert episode.metadata["cost"] == pytest.approx(result.cost, rel=1e-12)


@pytest.mark.launch(fixture=graph)
def test_the_trial_is_read_from_its_bag_as_the_runner_told_it_and_its_bag_is_all_clear(
    client: GraphClient, tmp_path: Path
) -> None:
    bag = tmp_path / "trial"
    result = client.run_trial(RunTrial.Goal(controller="ilqr_sampled", seed=4, record=True, bag=str(bag)))
    told, found = trial_from_msg(result.trial), read_recorded(bag)
    np.testing.assert_array_equal(found.trial.states, told.states)
    np.testing.assert_array_equal(found.trial.actions, told.actions)
    np.testing.assert_array_equal(found.trial.costs, told.costs)
    law = found.law
    assert law is not None and law.steps == told.steps
    # the action is a draw of the law in force: within five deviations of its mean, and not the mean itself
    deviations = np.sqrt(np.einsum("tii->ti", law.covariances))
    off = np.abs(told.actions - law.means_along(told.states[:-1]))
    within = off[BLENDED:] / deviations[BLENDED:]
    assert 0.1 < np.median(within) < 2.0
    figures = inspect(bag)
    # whether the manager kept its deadlines is the machine's affair
    findings = [f for f in check_bag(figures) if f.check != "deadlines"]
    assert passes(findings), [f for f in findings if f.verdict.value != "ok"]
    assert found.metadata["robot_hash"] and found.metadata["mbpl"] and found.metadata["horizon"] == 125
    assert found.metadata["law"]["mode"] == "sampled" and found.metadata["law"]["sequence"] > 0


@pytest.mark.launch(fixture=graph)
def test_recording_is_paused_and_goes_on(client: GraphClient, tmp_path: Path) -> None:
    bag = tmp_path / "paused"
    client.start_recording(str(bag), json.dumps({"seed": 1}))
    client.pause_recording(True)
    with pytest.raises(RefusedError, match="it is paused already"):
        client.pause_recording(True)
    client.pause_recording(False)
    client.stop_recording("{}")
    episode = read_episode(bag)
    (pause,) = episode.metadata["pauses"]
    assert pause[0] < pause[1]
    with pytest.raises(RefusedError, match="no bag is being recorded"):
        client.pause_recording(False)


@pytest.mark.launch(fixture=graph)
def test_a_bag_without_a_name_gets_one_from_the_recorder(client: GraphClient, bags: Path) -> None:
    names = set()
    for seed in (1, 2):
        path = Path(client.start_recording("", json.dumps({"task": "arm_reach", "seed": seed})))
        client.stop_recording("{}")
        names.add(path)
        assert path.parent == bags and path.name.startswith("arm_reach-")
        assert read_episode(path).metadata["seed"] == seed
    assert len(names) == 2
