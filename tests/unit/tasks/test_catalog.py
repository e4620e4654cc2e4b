"""Which tasks there are, and where they are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbpl_control.core import TaskError
from mbpl_control.tasks import find_task, list_tasks, load_task


@pytest.fixture
def places(tmp_path: Path, monkeypatch) -> Path:
    """Two directories of tasks of one's own, and a prefix with a package that registered one."""
    for place, names in {"mine": ["reach", "push"], "yours": ["reach", "pull"]}.items():
        (tmp_path / place).mkdir()
        for name in names:
            (tmp_path / place / f"{name}.yaml").write_text(place)
    index = tmp_path / "prefix" / "share" / "ament_index" / "resource_index" / "mbpl_tasks"
    index.mkdir(parents=True)
    (index / "some_robot").write_text("cfg/tasks\n")
    (index / "other_robot").write_text("")
    for package, below, name in (("some_robot", "cfg/tasks", "wipe"), ("other_robot", "tasks", "reach")):
        directory = tmp_path / "prefix" / "share" / package / below
        directory.mkdir(parents=True)
        (directory / f"{name}.yaml").write_text(package)
    monkeypatch.setenv("MBPL_TASK_PATH", f"{tmp_path / 'mine'}:{tmp_path / 'missing'}:{tmp_path / 'yours'}")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'nothing'}:{tmp_path / 'prefix'}")
    return tmp_path


def test_the_path_of_ones_own_comes_first_then_registered_packages(places: Path) -> None:
    found = {name: path.read_text() for name, path in list_tasks().items()}
    assert found == {"reach": "mine", "push": "mine", "pull": "yours", "wipe": "some_robot"}
    assert find_task("wipe").read_text() == "some_robot"


def test_a_path_is_taken_as_it_is(places: Path, monkeypatch) -> None:
    assert find_task(places / "yours" / "reach.yaml").read_text() == "yours"
    monkeypatch.chdir(places / "yours")
    assert find_task("reach.yaml") == places / "yours" / "reach.yaml"
    assert find_task("./pull.yaml").read_text() == "yours"


def test_an_unknown_task_is_refused_with_the_nearest_name_and_all_there_are(places: Path) -> None:
    with pytest.raises(TaskError, match="no task 'reech'; did you mean 'reach'. known tasks: pull, push, reach, wipe"):
        find_task("reech")
    with pytest.raises(TaskError, match=r"task file './reech' does not exist"):
        find_task("./reech")
    with pytest.raises(TaskError, match=r"task file 'reech\.yml' does not exist"):
        load_task("reech.yml")


def test_without_any_place_the_error_says_what_to_do(monkeypatch) -> None:
    monkeypatch.delenv("MBPL_TASK_PATH", raising=False)
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    with pytest.raises(TaskError, match="known tasks: none; source the workspace, or set MBPL_TASK_PATH"):
        find_task("reach")


def test_every_task_that_ships_loads(task_files: Path) -> None:
    names = sorted(path.stem for path in task_files.glob("*.yaml"))
    assert {
        "pendulum_swingup",
        "cartpole_swingup",
        "acrobot_swingup",
        "reacher_2link",
        "arm_reach",
        "arm_peg",
        "arm_peg_blind",
        "arm_reach_few",
        "arm_reach_offline",
        "puck_push",
        "rotary_pendulum_balance",
        "panda_reach",
    } <= set(names)
    for name in names:
        assert load_task(task_files / f"{name}.yaml").description
