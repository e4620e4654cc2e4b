"""`mbpl bags` on bags that the project's own writer wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_trial import write_trial
from rich.console import Console
from typer.testing import CliRunner, Result

from mbpl_control.bags import EpisodeWriter
from mbpl_control.bags.inspection import inspect
from mbpl_control.bags.types import typestore
from mbpl_control.cli.bag_tables import topic_table, trial_table
from mbpl_control.cli.main import app
from mbpl_control.core import BagError

TICKS, RATE = 200, 200


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """A second of states and their commands, each a millisecond later, of a trial that cost 12.345678."""
    types = typestore().types
    writer = EpisodeWriter(tmp_path / "episode", {"task": "arm_reach", "controller": "ilqr_feedback", "seed": 7})
    for k in range(TICKS):
        stamp = types["builtin_interfaces/msg/Time"](sec=0, nanosec=k * 10**9 // RATE)
        header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="world")
        arrival = 10**18 + k * 10**9 // RATE
        _write_state(writer, header, k, arrival)
        command = types["mbpl_msgs/msg/JointCommand"](
            header=header,
            sequence=k + 1,
            state_sequence=k + 1,
            joint_names=["elbow"],
            interface="effort",
            values=np.zeros(1),
            controller="ilqr_feedback",
            step=k // 4,
        )
        writer.write_message("/mbpl/joint_commands", "mbpl_msgs/msg/JointCommand", arrival + 1_000_000, command)
    return writer.close({"cost": 12.345678, "success": True})


def _write_state(writer: EpisodeWriter, header: Any, k: int, arrival: int) -> None:
    state = typestore().types["mbpl_msgs/msg/RobotState"](
        header=header,
        sequence=k + 1,
        joint_names=["elbow"],
        position=np.zeros(1),
        velocity=np.zeros(1),
        effort=np.zeros(1),
        definition_hash="",
        state=np.zeros(2),
        covariance=np.zeros(0),
    )
    writer.write_message("/mbpl/state", "mbpl_msgs/msg/RobotState", arrival, state)


def run(*arguments: str) -> Result:
    """What `mbpl bags` answers."""
    return CliRunner().invoke(app, ["bags", *arguments])


def shown(path: Path) -> str:
    """What a wide terminal shows."""
    console = Console(width=200, record=True)
    figures = inspect(path)
    console.print(trial_table(figures), topic_table(figures))
    return console.export_text()


def test_the_trial_its_cost_and_its_topics_are_shown(bag: Path) -> None:
    text = shown(bag)
    for words in ("complete", "arm_reach", "ilqr_feedback", "12.3457", "median 1.00 ms", "0.996 s"):
        assert words in text
    for row in ("/mbpl/state", "mbpl_msgs/msg/RobotState", "200", "200.0 Hz"):
        assert row in text


def test_the_json_form_holds_the_same_for_a_program(bag: Path) -> None:
    data = json.loads(run("info", str(bag), "--json").stdout)
    assert data["complete"] is True
    assert data["messages"] == 2 * TICKS
    assert data["duration"] == pytest.approx((TICKS - 1) / RATE + 1e-3)
    assert data["latency_median"] == pytest.approx(1e-3)
    assert data["metadata"]["cost"] == 12.345678
    assert data["topics"] == [
        {"topic": "/mbpl/joint_commands", "type": "mbpl_msgs/msg/JointCommand", "messages": TICKS, "rate": RATE},
        {"topic": "/mbpl/state", "type": "mbpl_msgs/msg/RobotState", "messages": TICKS, "rate": RATE},
    ]


def test_a_bag_whose_recorder_was_killed_is_shown_as_far_as_it_goes(bag: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    shutil.copytree(bag, torn)
    (torn / "metadata.yaml").unlink()
    (file,) = torn.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-3000])
    text = shown(torn)
    assert "not closed: its recorder was killed" in text
    assert "/mbpl/state" in text


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: shutil.rmtree(p), "no such directory"),
        (lambda p: [f.unlink() for f in p.iterdir()], "no bags"),
        (lambda p: (p / "metadata.yaml").write_text("hello"), "not the metadata of a rosbag2 bag"),
        (lambda p: (p / "metadata.yaml").write_text("a: [1, 2"), "not the metadata of a rosbag2 bag"),
        (lambda p: [f.unlink() for f in p.glob("*.mcap")], "missing"),
    ],
    ids=["gone", "empty", "not_metadata", "not_yaml", "no_messages"],
)
def test_what_is_no_bag_is_one_clear_error_that_names_the_path(bag: Path, spoil: Any, words: str) -> None:
    spoil(bag)
    result = run("info", str(bag))
    assert isinstance(result.exception, BagError)
    assert words in str(result.exception)
    assert str(bag) in str(result.exception)


def test_text_in_square_brackets_is_shown_and_not_taken_for_markup(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path / "odd", {"label": "[red]not a colour[/red]"})
    header = typestore().types["std_msgs/msg/Header"](
        stamp=typestore().types["builtin_interfaces/msg/Time"](sec=0, nanosec=0), frame_id=""
    )
    _write_state(writer, header, 0, 10**18)
    assert "[red]not a colour[/red]" in shown(writer.close())


def test_the_list_tells_the_trial_of_every_bag_below_a_directory(bag: Path, tmp_path: Path) -> None:
    shutil.copytree(bag, tmp_path / "day" / "other")
    (tmp_path / "day" / "other" / "metadata.yaml").unlink()
    data = json.loads(run("list", str(tmp_path), "--json").stdout)
    assert [(Path(b["path"]).name, b["state"]) for b in data["bags"]] == [
        ("other", "not closed"),
        ("episode", "closed"),
    ]
    assert data["bags"][1]["cost"] == 12.345678 and data["bags"][1]["controller"] == "ilqr_feedback"
    assert "12.3457" in run("list", str(tmp_path)).stdout


def test_trials_are_drawn_into_a_file_of_the_kind_that_is_asked_for(tmp_path: Path) -> None:
    write_trial(tmp_path / "one")
    result = run("plot", str(tmp_path), "--output", str(tmp_path / "trials.svg"))
    assert result.exit_code == 0, result.output
    svg = (tmp_path / "trials.svg").read_text()
    assert svg.startswith("<?xml") and svg.count("<path") > 20
    refused = run("plot", str(tmp_path), "--output", str(tmp_path / "trials.txt"))
    assert isinstance(refused.exception, BagError) and "must end in .png, .svg, .pdf" in str(refused.exception)


def test_the_check_ends_with_one_where_something_fails_and_with_zero_where_nothing_does(tmp_path: Path) -> None:
    bag = write_trial(tmp_path / "one")
    sound = run("check", str(bag), "--json")
    assert sound.exit_code == 0 and json.loads(sound.stdout)["passes"] is True
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-1000])
    broken = run("check", str(bag), "--json")
    assert broken.exit_code == 1 and json.loads(broken.stdout)["passes"] is False
