"""A file with bytes changed is read or refused by an error of ours, and neither takes long."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import spoil_bytes
from test_messages import CONTROLLER, DYNAMICS, TRIAL

from mbpl_control.core import LinearGaussianController, LinearGaussianDynamics, MbplError, Trial
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture
from mbpl_control.runs.description import RunDescription
from mbpl_control.runs.trial_archive import load_trials, save_trials
from mbpl_control.tasks import load_task

REPOSITORY = Path(__file__).resolve().parents[2]
#: s that reading a small file may take on a machine that is busy with other things.
PATIENCE = 30.0


def _policy(path: Path) -> None:
    GaussianPolicy(CONTROLLER.state, CONTROLLER.action, 0.05, seed=0, architecture=PolicyArchitecture((4,))).save(path)


#: npz files: who writes and who reads them.
ARCHIVES: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "controller": (CONTROLLER.save, LinearGaussianController.load),
    "dynamics": (DYNAMICS.save, LinearGaussianDynamics.load),
    "trial": (TRIAL.save, Trial.load),
    "trials of an iteration": (lambda path: save_trials(path, [TRIAL, TRIAL]), load_trials),
    "policy": (_policy, GaussianPolicy.load),
}
#: Tasks whose own text is changed, and robots whose file is, with the task that reads it.
TASKS = ("pendulum_swingup", "reacher_2link", "arm_peg", "puck_push")
ROBOTS = {
    "MJCF": (REPOSITORY / "sim/models/reacher_2link.xml", [0.0, 0.0]),
    "URDF": (REPOSITORY / "examples/my_robot/planar_arm.urdf", [0.0, 0.0, 0.0]),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all models, as task files refer to them."""
    directory = tmp_path_factory.mktemp("fuzz")
    (directory / "models").symlink_to(REPOSITORY / "sim/models")
    (directory / "tasks").mkdir()
    for task in (REPOSITORY / "sim/tasks").glob("*.yaml"):
        (directory / "tasks" / task.name).write_bytes(task.read_bytes())
    return directory


def read_or_refuse(read: Callable[[Path], Any], path: Path) -> None:
    begin = time.monotonic()
    try:
        read(path)
    except MbplError as error:
        assert str(error)
    assert time.monotonic() - begin < PATIENCE


@pytest.mark.parametrize("kind", ARCHIVES)
@given(seed=st.integers(0, 2**32))
def test_an_archive_with_bytes_changed_is_read_or_refused(tally: Any, place: Path, kind: str, seed: int) -> None:
    write, read = ARCHIVES[kind]
    sound = place / f"{kind}.npz"
    if not sound.exists():
        write(sound)
    path = place / f"spoiled {kind}.npz"
    path.write_bytes(spoil_bytes(sound.read_bytes(), seed))
    tally(f"npz {kind}")
    read_or_refuse(read, path)


def _repacked(sound: Path, path: Path, seed: int) -> None:
    """The same archive with its header's text changed, or its arrays: what the checksum of a zip does not find."""
    with np.load(sound) as data:
        arrays: dict[str, Any] = {name: data[name] for name in data.files}
    rng = np.random.default_rng(seed)
    name = str(rng.choice(sorted(arrays)))
    if rng.random() < 0.6:
        name = "mbpl_header"
    if name == "mbpl_header":
        arrays[name] = np.frombuffer(spoil_bytes(arrays[name].tobytes(), seed), dtype=np.uint8)
    else:
        value = arrays[name]
        arrays[name] = [
            lambda: value.astype("U8"),
            lambda: value.astype(np.complex128),
            lambda: value[..., None],
            lambda: value.ravel()[:-1],
            lambda: value * np.nan,
            lambda: value * 1e308 * 10.0,
            lambda: np.zeros((0, *value.shape)),
            lambda: np.zeros((), dtype="M8[s]"),
            lambda: value.astype(np.int8),
        ][int(rng.integers(9))]()
    np.savez(path, **arrays)


@pytest.mark.parametrize("kind", ARCHIVES)
@given(seed=st.integers(0, 2**32))
def test_an_archive_whose_content_is_changed_is_read_or_refused(tally: Any, place: Path, kind: str, seed: int) -> None:
    write, read = ARCHIVES[kind]
    sound, path = place / f"{kind}.npz", place / f"repacked {kind}.npz"
    if not sound.exists():
        write(sound)
    _repacked(sound, path, seed)
    tally(f"npz {kind}")
    read_or_refuse(read, path)


@pytest.mark.parametrize("name", TASKS)
@given(seed=st.integers(0, 2**32))
def test_a_task_with_bytes_changed_is_read_or_refused(tally: Any, place: Path, name: str, seed: int) -> None:
    path = place / "tasks" / f"spoiled_{name}.yaml"
    path.write_bytes(spoil_bytes((place / "tasks" / f"{name}.yaml").read_bytes(), seed))
    tally(f"YAML task {name}")
    read_or_refuse(load_task, path)


@pytest.mark.parametrize("name", ROBOTS)
@given(seed=st.integers(0, 2**32))
def test_a_robot_with_bytes_changed_is_read_or_refused(tally: Any, place: Path, name: str, seed: int) -> None:
    sound, positions = ROBOTS[name]
    robot = place / f"spoiled{sound.suffix}"
    robot.write_bytes(spoil_bytes(sound.read_bytes(), seed))
    task = place / "of_a_robot.yaml"
    task.write_text(
        f"robot: {{model: {robot.name}}}\nhorizon: 5\ndt: 0.05\nstart: {{train: [{{positions: {positions}}}]}}\n"
        "cost: [{term: action, weight: 1.0}]\n"
    )
    tally(f"robot {name}")
    read_or_refuse(load_task, task)


def _description() -> Mapping[str, Any]:
    text = "x"
    return {"method": "gps", "task": text, "task_file": text, "task_hash": text, "agent": "ros", "seed": 1}


@given(seed=st.integers(0, 2**32))
def test_a_description_of_a_run_with_bytes_changed_is_read_or_refused(tally: Any, place: Path, seed: int) -> None:
    sound, path = place / "run.yaml", place / "spoiled_run.yaml"
    if not sound.exists():
        RunDescription(**_description(), iterations=5, options={"samples": 5}, versions={"numpy": "2"}).save(sound)
    path.write_bytes(spoil_bytes(sound.read_bytes(), seed))
    tally("YAML run")
    read_or_refuse(RunDescription.load, path)
