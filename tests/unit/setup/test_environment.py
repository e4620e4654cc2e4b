"""Where ROS comes from, and the variables of the environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from mbpl_setup.environment import Environment, sourced_ros
from mbpl_setup.steps import SetupError
from mbpl_setup.workspace import source_hash


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A virtual environment as far as variables go: with the libraries of two ROS wheels."""
    packages = tmp_path / "venv" / "lib" / "python3.12" / "site-packages"
    for library in ("ros_rcl.libs", "ros_rclpy.libs"):
        (packages / library).mkdir(parents=True)
    return Environment(tmp_path / "venv", "wheels")


def test_without_a_sourced_ros_it_comes_from_wheels() -> None:
    assert sourced_ros({}) == "wheels"


def test_a_sourced_jazzy_is_used() -> None:
    assert sourced_ros({"ROS_DISTRO": "jazzy"}) == "sourced"


def test_a_shell_of_the_set_ups_own_ros_is_not_taken_for_a_sourced_one() -> None:
    assert sourced_ros({"ROS_DISTRO": "jazzy", "MBPL_SETUP": "wheels"}) == "wheels"


def test_another_distribution_is_refused_by_name() -> None:
    with pytest.raises(SetupError, match="humble"):
        sourced_ros({"ROS_DISTRO": "humble"})


def test_paths_come_in_front_and_once_however_often_the_environment_is_entered(environment: Environment) -> None:
    before = {"PATH": "/usr/bin:/bin", "HOME": "/root"}
    once = environment.merged_into(before)
    assert once["PATH"] == f"{environment.venv}/bin:/usr/bin:/bin"
    assert once["HOME"] == "/root"
    assert once["LD_LIBRARY_PATH"].split(":")[0] == f"{environment.venv}/lib"
    assert environment.merged_into(once) == once


def test_the_shell_file_gives_the_variables_that_the_set_up_itself_uses(
    environment: Environment, tmp_path: Path, repository: Path
) -> None:
    file = tmp_path / "environment.sh"
    environment.write_shell(file)
    prepend = (repository / "tools" / "env.sh").read_text().split("_mbpl_source()")[0]
    names = ["PATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "VIRTUAL_ENV", "MBPL_SETUP"]
    show = "; ".join(f'echo "${name}"' for name in names)
    start = {"PATH": os.environ["PATH"]}
    script = f"{prepend}\nsource {file}; source {file}; {show}"
    shown = subprocess.run(["bash", "-c", script], env=start, text=True, capture_output=True, check=True).stdout
    assert shown.splitlines() == [environment.merged_into(start)[name] for name in names]


def test_the_hash_of_sources_sees_content_name_and_executable_bit_and_no_byproducts(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    source = tmp_path / "pkg" / "module.py"
    source.write_text("x = 1\n")
    hashes = [source_hash(tmp_path)]
    (tmp_path / "pkg" / "__pycache__").mkdir()
    (tmp_path / "pkg" / "__pycache__" / "module.pyc").write_text("")
    assert source_hash(tmp_path) == hashes[0]
    source.write_text("x = 2\n")
    hashes.append(source_hash(tmp_path))
    source.chmod(0o755)
    hashes.append(source_hash(tmp_path))
    source.rename(source.with_name("other.py"))
    hashes.append(source_hash(tmp_path))
    assert len(set(hashes)) == 4
