"""The Python environment: where ROS comes from, and the variables that make its parts find each other."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mbpl_setup.steps import Log, SetupError

#: Paths of the machine the ROS wheels were built on, left over in their CMake exports.
_BUILD_MACHINE_INCLUDE = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")
_BUILD_MACHINE_NUMPY = re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_core/include")


@dataclass(frozen=True)
class Environment:
    """A virtual environment with a ROS 2 Jazzy in it (`wheels`) or below it (`sourced`).

    Attributes:
        venv: its directory.
        ros: `wheels`, when ROS comes from PyPI; `sourced`, when the shell had an installed one.
    """

    venv: Path
    ros: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.venv / "bin" / "python"

    @property
    def compiled_code(self) -> Path:
        """Where numba keeps what it compiled: not beside the installed sources, where a build would throw it away."""
        return self.venv.parent / ".setup" / "numba"

    def variables(self) -> dict[str, str]:
        """Variables to set, besides those in `prepended`."""
        values = {"VIRTUAL_ENV": str(self.venv), "MBPL_SETUP": self.ros}
        values["NUMBA_CACHE_DIR"] = str(self.compiled_code)
        if self.ros == "wheels":
            # The wheels restart every Python to set LD_LIBRARY_PATH, unless told that it is set.
            values["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"
            values["ROS_VERSION"] = "2"
        return values

    def prepended(self) -> dict[str, list[str]]:
        """Directories to put in front of path variables."""
        paths = {"PATH": [str(self.venv / "bin")]}
        if self.ros == "wheels":
            libraries = sorted(str(path) for path in self._site_packages().glob("ros_*.libs"))
            paths["AMENT_PREFIX_PATH"] = [str(self.venv)]
            paths["CMAKE_PREFIX_PATH"] = [str(self.venv)]
            paths["LD_LIBRARY_PATH"] = [str(self.venv / "lib"), *libraries]
        return paths

    def merged_into(self, environ: Mapping[str, str]) -> dict[str, str]:
        """A process environment in which this one is active."""
        merged = dict(environ) | self.variables()
        for name, paths in self.prepended().items():
            rest = [path for path in merged.get(name, "").split(os.pathsep) if path and path not in paths]
            merged[name] = os.pathsep.join([*paths, *rest])
        merged.pop("PYTHONHOME", None)
        return merged

    def write_shell(self, path: Path) -> None:
        """Write the variables for tools/env.sh."""
        lines = ["# Written by tools/setup.py; sourced by tools/env.sh."]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in self.variables().items()]
        for name, paths in self.prepended().items():
            lines += [f"_mbpl_prepend {name} {shlex.quote(entry)}" for entry in reversed(paths)]
        path.write_text("\n".join(lines) + "\n")

    def fix_cmake_exports(self, log: Log) -> None:
        """Point the wheels' CMake exports to this interpreter's headers instead of their build machine's.

        Raises:
            SetupError: the headers of Python or numpy are not where they should be.
        """
        query = "import numpy, sysconfig; print(sysconfig.get_paths()['include']); print(numpy.get_include())"
        python, numpy = subprocess.check_output([self.python, "-c", query], text=True).split("\n")[:2]
        fixed = 0
        for export in (self.venv / "share").rglob("*Export.cmake"):
            before = export.read_text()
            after = _BUILD_MACHINE_NUMPY.sub(numpy, _BUILD_MACHINE_INCLUDE.sub(python, before))
            if after != before:
                export.write_text(after)
                fixed += 1
        log.write(f"{fixed} files now name {python} and {numpy}")

    def genuine_launch(self) -> bool:
        """Whether `launch` can be imported and is not the subset that this set-up installs."""
        query = (
            "import importlib.metadata as metadata, importlib.util, sys\n"
            "names = {dist.metadata['Name'] for dist in metadata.distributions()}\n"
            "spec = importlib.util.find_spec('launch')\n"
            "sys.exit(0 if spec and spec.origin and 'mbpl-launch-subset' not in names else 1)"
        )
        # Not from the top of the repository, whose directory launch/ would be found as a namespace package.
        run = subprocess.run([self.python, "-c", query], env=self.merged_into(os.environ), cwd=self.venv)
        return run.returncode == 0

    def _site_packages(self) -> Path:
        found = sorted((self.venv / "lib").glob("python3.*/site-packages"))
        if len(found) != 1:
            raise SetupError(f"{self.venv} has {len(found)} site-packages directories, expected one", "Run: make clean")
        return found[0]


def sourced_ros(environ: Mapping[str, str]) -> str:
    """`sourced` or `wheels`: where ROS comes from in a shell with these variables.

    Raises:
        SetupError: another ROS than Jazzy is sourced.
    """
    if environ.get("MBPL_SETUP") == "wheels" or not environ.get("ROS_DISTRO"):
        return "wheels"
    distro = environ["ROS_DISTRO"]
    if distro != "jazzy":
        raise SetupError(
            f"ROS '{distro}' is sourced in this shell; the project is written for Jazzy",
            "Source /opt/ros/jazzy/setup.bash in a new shell; or use a shell without ROS, and it comes from PyPI.",
        )
    return "sourced"


def base_python() -> str:
    """The interpreter below any virtual environment, and its exact version: what a set-up is bound to."""
    return f"{os.path.realpath(sys.executable)} {sys.version}"
