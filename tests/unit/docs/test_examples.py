"""Python on the pages runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from known_trial import write_trial
from pages import DOCS

from mbpl_control.bags import EpisodeWriter
from mbpl_control.bags.types import typestore


def examples(page: str) -> list[str]:
    """Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_trial_of_the_page_about_trials_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = examples("trials.md")
    exec(compile(example, "trials.md", "exec"), {})
    cost, success = capsys.readouterr().out.split()
    assert np.isfinite(float(cost))
    assert success == "True"


def test_every_way_of_the_page_about_bags_opens_a_bag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = tmp_path / "bag"
    types = typestore().types
    header = types["std_msgs/msg/Header"](stamp=types["builtin_interfaces/msg/Time"](sec=1, nanosec=0), frame_id="")
    two = np.array([1.0, 2.0])
    state = {"joint_names": ["a", "b"], "position": two, "velocity": two, "effort": np.zeros(0)}
    rest = {"definition_hash": "", "state": np.array([1.0, 2.0, 1.0, 2.0]), "covariance": np.zeros(0)}
    command = {"joint_names": ["a", "b"], "interface": "effort", "values": two, "controller": "hold", "step": -1}
    with_number = {"header": header, "sequence": 7}
    writer = EpisodeWriter(bag, {"task": "none", "cost": 3.5})
    for topic, kind, fields in (
        ("/mbpl/state", "mbpl_msgs/msg/RobotState", {**state, **rest}),
        ("/mbpl/joint_commands", "mbpl_msgs/msg/JointCommand", {**command, "state_sequence": 7}),
    ):
        writer.write_message(topic, kind, 10**9, types[kind](**with_number, **fields))
    writer.close()
    trials = write_trial(tmp_path / "trials" / "one").parent
    printed = []
    for example in examples("bags.md"):
        example = example.replace('"PATH"', f'"{bag}"').replace('"DIRECTORY"', f'"{trials}"')
        exec(compile(example, "bags.md", "exec"), {})
        printed.append(capsys.readouterr().out)
    ours, rosbags, mcap = printed
    assert ours.split() == ["(26,", "4)", "(25,", "2)", "3.25", "True"]
    assert rosbags.split() == ["1.0", "hold", "-1", "[1.", "2.]"]
    assert mcap.split() == ["7", "[1.0,", "2.0]"]
