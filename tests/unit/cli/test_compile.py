"""`mbpl compile` as a user runs it: what it makes, what it prints, and its exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mbpl_control.cli.main import main
from mbpl_control.models import GeneratedDynamics, RobotModel
from mbpl_control.models.rigid_dynamics import rigid_dynamics, why_not_generated

SWING = """
<mujoco model="swing">
  <worldbody>
    <body>
      <joint name="hinge" axis="0 1 0" damping="0.1"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.02" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator><motor joint="hinge" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
FREE = """
<mujoco model="thrown">
  <worldbody>
    <body>
      <freejoint name="flight"/>
      <geom type="sphere" size="0.1"/>
      <body><joint name="wheel" axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.02"/></body>
    </body>
  </worldbody>
  <actuator><motor joint="wheel" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


@pytest.fixture
def mbpl(tmp_path: Path, task_files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command in a directory of robots, with a cache of its own; exit code, standard output and error."""
    (tmp_path / "swing.xml").write_text(SWING)
    (tmp_path / "thrown.xml").write_text(FREE)
    monkeypatch.chdir(tmp_path)
    for key, value in {"MBPL_TASK_PATH": str(task_files), "COLUMNS": "200"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mbpl", "compile", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run


def test_a_robot_is_compiled_once_and_modelled_by_its_kernels_from_then_on(mbpl, tmp_path: Path) -> None:
    robot = RobotModel.from_file("swing.xml")
    assert "mbpl compile" in why_not_generated(robot)
    code, out, _ = mbpl("--robot", "swing.xml")
    assert code == 0 and "swing.xml: compiled in" in out and str(tmp_path / "cache") in out
    # where there is no terminal to show a bar on, what is begun
    assert "swing.xml (1 of 1): generating" in out and "swing.xml (1 of 1): compiling linearize" in out
    assert why_not_generated(robot) == ""
    assert isinstance(rigid_dynamics(robot, 0.01), GeneratedDynamics)
    code, out, _ = mbpl("--robot", "swing.xml", "--json")
    assert code == 0 and set(json.loads(out)["compiled"]) == {"swing.xml"}
    code, out, _ = mbpl("--robot", "swing.xml")
    assert code == 0 and "compiled before, loaded in" in out


def test_a_robot_that_no_kernels_can_be_generated_for_is_named_with_the_reason(mbpl) -> None:
    code, out, _ = mbpl("--robot", "thrown.xml")
    assert code == 1 and "thrown.xml: no kernels: " in out
    code, out, _ = mbpl("--robot", "thrown.xml", "--json")
    assert code == 1 and set(json.loads(out)["left_out"]) == {"thrown.xml"}


@pytest.mark.parametrize("arguments", [[], ["--all", "--task", "reacher_2link"]])
def test_what_to_compile_is_said_exactly_once(mbpl, arguments: list[str]) -> None:
    code, _, err = mbpl(*arguments)
    assert code == 2 and "exactly one of them" in err


def test_a_file_that_is_not_there_is_named(mbpl) -> None:
    code, _, err = mbpl("--robot", "nowhere.xml")
    assert code == 2 and "nowhere.xml" in err
