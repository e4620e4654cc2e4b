"""The ROS packages of this repository: found, hashed, and built by colcon when they changed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from mbpl_setup.environment import Environment
from mbpl_setup.steps import Log

#: Where packages are, seen from the top of the repository. Those with interfaces come first.
PACKAGE_DIRECTORIES = ("ros2_ws/src/mbpl_msgs", "ros2_ws/src/mbpl_control", "sim", "launch")
_NOT_SOURCES = {"__pycache__", "build", "install", "log", ".pytest_cache", ".ruff_cache", ".mypy_cache"}


@dataclass(frozen=True)
class Package:
    """A ROS package: its name, and where its sources are."""

    name: str
    path: Path

    @classmethod
    def at(cls, path: Path) -> Package:
        """Read the name from package.xml."""
        name = ElementTree.parse(path / "package.xml").findtext("name", default="")
        return cls(name.strip(), path)

    @property
    def pure_python(self) -> bool:
        """Whether building is only copying."""
        return not (self.path / "CMakeLists.txt").is_file()


def source_hash(directory: Path) -> str:
    """Hash of the names, contents and executable bits of all source files below a directory."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        inside = path.relative_to(directory)
        if path.is_file() and not any(part in _NOT_SOURCES or part.endswith(".egg-info") for part in inside.parts):
            content = path.read_bytes()
            digest.update(f"{inside}\0{path.stat().st_mode & 0o100}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def packages(root: Path) -> list[Package]:
    """The packages of the repository."""
    return [Package.at(root / directory) for directory in PACKAGE_DIRECTORIES]


def build(package: Package, root: Path, environment: Environment, environ: Mapping[str, str], log: Log) -> None:
    """Build one package as `colcon build` at the top of the repository would.

    A Python package is removed before it is built again: installing over it would keep modules that were deleted.
    """
    if package.pure_python:
        for directory in ("build", "install"):
            shutil.rmtree(root / directory / package.name, ignore_errors=True)
    # Not bin/colcon, which an installed ROS may bring with another Python: that of nodes is the one colcon runs in.
    program = "import sys; from colcon_core.command import main; sys.exit(main())"
    command = [str(environment.python), "-c", program, "build", "--packages-select", package.name]
    command += ["--event-handlers", "console_direct+"]
    command += ["--cmake-args", "-DCMAKE_BUILD_TYPE=Release", f"-DPython3_EXECUTABLE={environment.python}"]
    log.run(command, environment=environ, cwd=root)
