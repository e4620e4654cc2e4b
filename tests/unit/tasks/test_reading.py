"""What is wrong with a task file is told by file, line and key."""

from __future__ import annotations

import re

import pytest

from mbpl_control.core import TaskError
from mbpl_control.tasks import load_task

#: What is replaced, by what, and what the error says; the line is that of the first character of the replaced text.
SPOILT = {
    "unknown key": ("planner: {", "planer: {", r"planer: unknown key; a task has no 'planer'"),
    "unknown nested key": ("substeps: 4", "subteps: 4", r"robot\.subteps: unknown key; robot has no 'subteps'"),
    "unknown key of a term": ("l2: 10.0", "l3: 10.0", r"cost\[0\]\.l3: unknown key; cost\[0\] has no 'l3'"),
    "unknown term": ("term: frame_distance", "term: frame_distanc", r"cost\[0\].*frame_distanc"),
    "robot file missing": ("model: arm.xml", "model: leg.xml", r"robot\.model: robot file 'leg\.xml' does not exist"),
    "unknown frame": ("frames: [tip]", "frames: [tipp]", r"robot\.frames\[0\]: .*no frame 'tipp'; did you mean 'tip'"),
    "horizon zero": ("horizon: 30", "horizon: 0", r"horizon: found 0; input should be greater than or equal to 1"),
    "horizon broken": ("horizon: 30", "horizon: 2.5", r"horizon: found 2\.5; .*integer"),
    "horizon as text": ("horizon: 30", "horizon: '30'", r"horizon: found '30'; .*integer"),
    "horizon as a truth": ("horizon: 30", "horizon: true", r"horizon: found True; .*integer"),
    "dt zero": ("dt: 0.02", "dt: 0.0", r"dt: found 0\.0; .*greater than 0"),
    "dt not a number": ("dt: 0.02", "dt: .nan", r"dt: found nan; "),
    "dt as text": ("dt: 0.02", "dt: '0.02'", r"dt: found '0\.02'; .*number"),
    "target too short": ("target: [0.5, 0.0, 0.1]", "target: [0.5, 0.0]", r"target: .*at least 3"),
    "target infinite": ("[0.5, 0.0, 0.1]", "[0.5, .inf, 0.1]", r"target\[1\]: found inf; .*finite"),
    "start outside limits": (
        "positions: [0.1, -0.2, 0.05]",
        "positions: [2.5, -0.2, 0.05]",
        r"start\.train\[0\]\.positions: 2\.5 for 'shoulder'; the model allows -2 to 2",
    ),
    "start too fast": (
        "velocities: [0.5, 0.0, 0.0]",
        "velocities: [0.5, 0.0, -1.5]",
        r"start\.train\[1\]\.velocities: -1\.5 for 'reach'; the model allows -1 to 1",
    ),
    "start too short": (
        "positions: [0.3, 0.4, 0.1]",
        "positions: [0.3, 0.4]",
        r"start\.train\[1\]\.positions: 2 numbers; must be 3 \(shoulder, elbow, reach\)",
    ),
    "no start": ("    - {positions: [0.0, 0.0, 0.0], name: straight}", "    - {name: straight}", r"positions: missing"),
    "cost on an unknown frame": ("frame: tip, l2", "frame: tool, l2", r"cost\[0\]\.frame: .*no frame 'tool'"),
    "negative weight": (
        "weight: 0.001",
        "weight: -0.001",
        r"cost\[2\]\.weight: found -0\.001; input should be greater than or equal to 0$",
    ),
    "too many weights": (
        "weight: 0.001",
        "weight: [1.0, 2.0]",
        r"cost\[2\]\.weight: .*found 2 numbers; must be 1 number, or 3",
    ),
    "bad ramp": (
        "weight: 0.1}\n  - {term: action",
        "weight: 0.1, ramp: final(0)}\n  - {term: action",
        r"cost\[1\]\.ramp: .*final\(0\)",
    ),
    "ramp longer than the horizon": (
        "block: velocities, weight: 0.1",
        "block: velocities, weight: 0.1, ramp: final(32)",
        r"cost\[1\]\.ramp: .*found final\(32\); must be final\(1\) to final\(31\)",
    ),
    "ramp of another shape": (
        "weight: 0.1}\n  - {term: action",
        "weight: 0.1, ramp: cubic}\n  - {term: action",
        r"cost\[1\]\.ramp: found 'cubic'; must be constant, linear, quadratic, final, final\(n\) or initial\(n\)",
    ),
    "unknown joint of a term": (
        "block: velocities, weight: 0.1",
        "block: velocities, joints: [wrist], weight: 0.1",
        r"cost\[1\]\.joints: the state has no joint_velocities of 'wrist'",
    ),
    "effort above the model's": (
        "effort: [30.0, 20.0, 5.0]",
        "effort: [30.0, 25.0, 5.0]",
        r"limits\.effort: 25\.0 N\*m for 'm2'; the model allows -20\.0 to 20\.0 \(arm\.xml\)",
    ),
    "too few efforts": ("effort: [30.0, 20.0, 5.0]", "effort: [30.0]", r"limits\.effort: 1 numbers; must be 3"),
    "velocity above the model's": (
        "velocity: 1.0",
        "velocity: [1.0, 5.0, 1.0]",
        r"limits\.velocity: 5\.0 for 'elbow'; the model allows 4\.0",
    ),
    "rate of too many": (
        "velocity: 1.0",
        "velocity: 1.0, effort_rate: [1.0, 2.0]",
        r"limits\.effort_rate: 2 numbers; must be 3",
    ),
    "soft zone zero": (
        "velocity: 1.0",
        "velocity: 1.0, position_soft_zone: 0.0",
        r"limits\.position_soft_zone: found 0\.0; .*greater than 0",
    ),
    "soft zone too wide": (
        "velocity: 1.0",
        "velocity: 1.0, position_soft_zone: 0.15",
        r"limits\.position_soft_zone: 0\.15 for 'reach'; must be below half its range, 0\.1",
    ),
    "success of two kinds": (
        "success: {frame: tip,",
        "success: {frame: tip, joints: [elbow],",
        r"success: .*either a frame or joints",
    ),
    "success without a joint's angle": (
        "{frame: tip, target: condition, within",
        "{joints: [elbow], within",
        r"success: .*one number a joint",
    ),
    "success of an unknown frame": (
        "success: {frame: tip",
        "success: {frame: top",
        r"success\.frame: .*no frame 'top'",
    ),
    "success of an unknown joint": (
        "{frame: tip, target: condition, within",
        "{joints: [knee], angles: [0.0], within",
        r"success\.joints: the state has no joint_positions of 'knee'",
    ),
    "success of hinges and slides": (
        "{frame: tip, target: condition, within",
        "{joints: [elbow, reach], angles: [0.0, 0.1], within",
        r"success\.joints: hinges and slides",
    ),
    "success over more states than there are": (
        "over_last: 3",
        "over_last: 32",
        r"success\.over_last: found 32; must be at most 31",
    ),
    "two figures for a physics step": (
        "substeps: 4",
        "substeps: 4, timestep: 0.005",
        r"robot: .*timestep and substeps",
    ),
    "step no multiple of the physics step": (
        "substeps: 4",
        "timestep: 0.003",
        r"robot\.timestep: .*found 0\.02 s; must be a whole multiple",
    ),
    "backend that cannot": ("substeps: 4", "backend: magic", r"robot\.backend: found 'magic'"),
    "unknown state block": (
        "dt: 0.02  ",
        "state: [velocity]\ndt: 0.02  ",
        r"state: .*'velocity' must be joint_positions",
    ),
    "state block of an unknown frame": (
        "dt: 0.02  ",
        "state: [joint_positions, frame_positions(hand)]\ndt: 0.02  ",
        r"state\[1\]: .*no frame 'hand'",
    ),
    "observation of an unknown frame": (
        "dt: 0.02  ",
        "observation: [frame_positions(eye)]\ndt: 0.02  ",
        r"observation\[0\]: .*no frame 'eye'",
    ),
    "section that is no mapping": ("planner: {max_iterations: 50}", "planner: 50", r"planner: found 50; "),
    "iterations zero": ("max_iterations: 50", "max_iterations: 0", r"planner\.max_iterations: found 0"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_a_wrong_task_file_is_an_error_that_names_file_line_and_key(write_task, task_text: str, fault: str) -> None:
    old, new, message = SPOILT[fault]
    assert task_text.count(old) == 1
    place = task_text.index(old) + _same(old, new)
    line = task_text[:place].count("\n") + 1
    with pytest.raises(TaskError) as caught:
        load_task(write_task(task_text.replace(old, new)))
    text = str(caught.value)
    assert re.search(message, text), text
    assert re.match(r"spoilt\.yaml:\d+: ", text), text
    assert int(text.split(":")[1]) == line, text


def _same(old: str, new: str) -> int:
    """How many characters the two have in common at the beginning."""
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)


def test_the_correct_file_is_correct(task) -> None:
    assert task.name == "spoilt"


def test_every_error_of_the_schema_is_told_at_once(write_task, task_text: str) -> None:
    text = task_text.replace("dt: 0.02", "dt: -1.0").replace("l2: 10.0", "l2: -10.0").replace("within: 0.02, ", "")
    with pytest.raises(TaskError) as caught:
        load_task(write_task(text))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert [re.match(r"spoilt\.yaml:(\d+)", line).group(1) for line in lines] == ["4", "15", "20"]
    assert "success.within: missing; this key is required" in lines[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("robot: {model: arm.xml\nhorizon: 3", r"spoilt\.yaml:\d+: not YAML: "),
        ("a: b: c", r"spoilt\.yaml:1: not YAML: "),
        ("horizon: 3\nhorizon: 4\n", r"spoilt\.yaml:2: not YAML: .*duplicate key"),
        ("- 1\n- 2\n", r"spoilt\.yaml:1: found a \w+; a task is a mapping"),
        ("", r"spoilt\.yaml:1: found nothing; a task is a mapping"),
        ("42", r"spoilt\.yaml:1: found a int; a task is a mapping"),
        ("!!python/object:os.system {}", r"spoilt\.yaml"),
        ("{}", r"robot: missing; this key is required"),
    ],
)
def test_what_is_no_task_at_all_is_told_apart(write_task, text: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        load_task(write_task(text))


def test_a_file_that_is_not_text_cannot_be_read(tmp_path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(TaskError, match=r"binary\.yaml: cannot be read"):
        load_task(tmp_path / "binary.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</mujoco>", "", r"spoilt\.yaml:2: robot\.model: .*arm\.xml: not well-formed XML"),
        ("<mujoco model", "<sdf model", r"spoilt\.yaml:2: robot\.model: .*not well-formed XML"),
        ('joint="elbow"', 'joint="knee"', r"spoilt\.yaml:2: robot\.model: .*MuJoCo cannot read it"),
    ],
)
def test_a_broken_robot_file_is_told_at_the_line_that_names_it(
    write_task, task_text: str, robot_text: str, old: str, new: str, message: str
) -> None:
    with pytest.raises(TaskError, match=message):
        load_task(write_task(task_text, robot_text.replace(old, new)))


def test_a_robot_that_is_no_rigid_tree_is_refused_by_the_analytic_backend_when_the_task_is_loaded(
    write_task, task_text: str, robot_text: str
) -> None:
    robot = robot_text.replace('<joint name="elbow"', '<joint name="elbow" frictionloss="0.1"')
    text = task_text.replace("substeps: 4", "backend: pinocchio")
    with pytest.raises(TaskError, match=r"spoilt\.yaml:2: robot\.backend: .*dry friction; use the backend 'mujoco'"):
        load_task(write_task(text, robot))
    assert load_task(write_task(task_text, robot)).backend() == "mujoco"


def test_the_integrator_rk4_is_refused_when_the_task_is_loaded(write_task, task_text: str, robot_text: str) -> None:
    robot = robot_text.replace('timestep="0.005"', 'timestep="0.005" integrator="RK4"')
    text = task_text.replace("substeps: 4", "backend: mujoco")
    with pytest.raises(TaskError, match=r"spoilt\.yaml:2: robot\.model: .*integrator RK4 has no derivatives"):
        load_task(write_task(text, robot))
