#!/usr/bin/env python3
"""Set up all that `make` needs, once, inside this repository; run again, it does only what is due.

    tools/setup.py               the virtual environment .venv, the built workspace, the kernels of its robots
    tools/setup.py crocoddyl     .venv-crocoddyl, the peer that `make bench-ilqr` measures against
    tools/setup.py docs          .venv-docs, what `make docs` builds the pages with
    tools/setup.py lerobot       .venv-lerobot, whose own loader `make test-lerobot` reads our data sets with
    tools/setup.py clean         undo all of it

Called by make with the interpreter that tools/find_python.sh names. Standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mbpl_setup import launch_subset, workspace
from mbpl_setup.environment import Environment, base_python, sourced_ros
from mbpl_setup.steps import Log, Runner, SetupError, Step

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".setup"
VENV = ROOT / ".venv"
#: The variables that tools/env.sh sources.
SHELL = STATE / "environment.sh"
#: Environments of their own, with what each is for: crocoddyl needs another Pinocchio, lerobot another torch, and the
#: pages need no ROS.
APART = {"crocoddyl": "Crocoddyl", "docs": "MkDocs", "lerobot": "LeRobot"}
REQUIREMENTS = ROOT / "requirements"
BUILT = ("build", "install", "log")
MADE = (".venv", *(f".venv-{name}" for name in APART), ".setup", "site", *BUILT, *(f"ros2_ws/{name}" for name in BUILT))
CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis")

#: What the user reads about where ROS comes from.
ROS_FROM = {"wheels": "ROS 2 Jazzy from PyPI", "sourced": "the ROS 2 Jazzy of this shell"}

#: Bytes that a full set-up takes, with the CPU build of torch.
NEEDED_DISK = 4 * 1024**3

PIP_REMEDY = (
    "See above what pip says. Without network, or behind a mirror, pip's own settings tell it where to look\n"
    "(PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, pip.conf). Then run the same command again."
)
BUILD_REMEDY = (
    "See above what the compiler or colcon says, then run the same command again. `make clean` starts afresh."
)
KERNELS_REMEDY = (
    "nothing, if need be: set-up goes on, and planners start on Pinocchio's bindings, which are slower, and say so.\n"
    "`mbpl compile --all` in a shell of tools/env.sh tries again, and so does the next run of make."
)


def main() -> int:
    """Run the command given; 0 when all is set up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="workspace", choices=["workspace", *APART, "clean"])
    what = parser.parse_args().what
    try:
        if what in APART:
            set_up_apart(what)
        else:
            {"workspace": set_up_workspace, "clean": clean}[what]()
    except SetupError as error:
        print(f"\n{error.told()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Steps that are done stay done; run it again to continue.", file=sys.stderr)
        return 130
    return 0


def set_up_workspace() -> None:
    """Environment, ROS where none is sourced, libraries, packages, the file that tools/env.sh sources, kernels."""
    environment = Environment(VENV, sourced_ros(os.environ))
    environ = without_own_installs(os.environ)
    with one_at_a_time():
        runner = Runner(STATE)
        create = Step(
            "venv",
            f"virtual environment of Python {platform.python_version()} for {ROS_FROM[environment.ros]}",
            [base_python(), environment.ros],
            lambda log: create_environment(environment, runner, log),
            "Is venv installed? Debian, Ubuntu: apt install python3-venv",
            environment.python,
        )
        steps = [create, *environment_steps(environment, environ), *build_steps(environment, environ)]
        steps.append(kernels_step(environment, environ))
        if not all(map(runner.done, steps)):
            check_machine(environment)
        if runner.run(steps):
            print("Set-up is complete. `source tools/env.sh` gives a shell in which ros2 and mbpl work.")
        environment.write_shell(SHELL)


def create_environment(environment: Environment, runner: Runner, log: Log) -> None:
    """Start from nothing: whatever was installed or built before was for another interpreter or another ROS."""
    runner.forget()
    for name in (".venv", *BUILT):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    sharing = ["--system-site-packages"] if environment.ros == "sourced" else []
    log.run([sys.executable, "-m", "venv", *sharing, environment.venv])


def environment_steps(environment: Environment, environ: Mapping[str, str]) -> list[Step]:
    """What pip installs into the virtual environment."""

    def install(name: str, title: str) -> Step:
        file = REQUIREMENTS / f"{name}.txt"
        return Step(
            name,
            title,
            [file.read_text()],
            lambda log: log.run([*pip(environment), "-r", file], environment.merged_into(environ)),
            PIP_REMEDY,
        )

    steps = [install("mbpl", "libraries and tools"), install("torch", "torch")]
    if environment.ros == "wheels":
        locked = (REQUIREMENTS / "ros_jazzy.txt").read_text() + (REQUIREMENTS / "mbpl.txt").read_text()
        steps += [
            install("ros_jazzy", "ROS 2 Jazzy from PyPI"),
            Step("cmake_exports", "paths in the wheels' CMake files", [locked], environment.fix_cmake_exports),
            Step(
                "pip_check",
                "do the installed versions fit each other",
                [locked],
                lambda log: log.run([environment.python, "-m", "pip", "check"], environment.merged_into(environ)),
            ),
        ]
    return [*steps, launch_subset.step(ROOT, environment, environ, pip(environment))]


def build_steps(environment: Environment, environ: Mapping[str, str]) -> list[Step]:
    """One step for each package of the workspace."""

    def build(package: workspace.Package) -> Step:
        return Step(
            f"build_{package.name}",
            f"colcon build of {package.name}" + ("" if package.pure_python else " (a minute or two)"),
            [workspace.source_hash(package.path), (REQUIREMENTS / "ros_jazzy.txt").read_text()],
            lambda log: workspace.build(package, ROOT, environment, environment.merged_into(environ), log),
            BUILD_REMEDY,
            ROOT / "install" / package.name,
        )

    return [build(package) for package in workspace.packages(ROOT)]


def kernels_step(environment: Environment, environ: Mapping[str, str]) -> Step:
    """The step that compiles the dynamics of the robots that ship; what was compiled before is only loaded."""

    def action(log: Log) -> None:
        environment.write_shell(SHELL)
        log.run(["bash", "-c", "source tools/env.sh && exec mbpl compile --all"], environ, ROOT)

    models = ROOT / "ros2_ws/src/mbpl_control/mbpl_control/models"
    inputs = [base_python(), (REQUIREMENTS / "mbpl.txt").read_text()]
    inputs += [workspace.source_hash(directory) for directory in (models, ROOT / "sim/models", ROOT / "sim/tasks")]
    product = environment.compiled_code / "mbpl_kernels"
    title = "kernels of the robots that ship (a minute or two)"
    return Step("kernels", title, inputs, action, KERNELS_REMEDY, product, needed=False)


def set_up_apart(name: str) -> None:
    """One of `APART`: requirements/NAME.txt in .venv-NAME, without ROS and without the project."""
    environment = Environment(ROOT / f".venv-{name}", "sourced")
    file = REQUIREMENTS / f"{name}.txt"
    environ = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "LD_LIBRARY_PATH")}

    def install(log: Log) -> None:
        shutil.rmtree(environment.venv, ignore_errors=True)
        log.run([sys.executable, "-m", "venv", environment.venv], environ)
        log.run([*pip(environment), "-r", file], environ)

    with one_at_a_time():
        title = f"{APART[name]} in {environment.venv.name}"
        inputs = [base_python(), file.read_text()]
        Runner(STATE).run([Step(name, title, inputs, install, PIP_REMEDY, environment.python)])


def clean() -> None:
    """Remove all that set-up and tests made; results in runs/ and bench/results/ stay."""
    for name in (*MADE, *CACHES):
        path = ROOT / name
        if path.exists():
            print(f"removing {name}")
            shutil.rmtree(path)
    for package in workspace.packages(ROOT):
        for leftover in [*package.path.rglob("__pycache__"), *package.path.rglob("*.egg-info")]:
            shutil.rmtree(leftover, ignore_errors=True)


def pip(environment: Environment) -> list[str]:
    """The command that installs into an environment."""
    options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    return [str(environment.python), "-m", "pip", "install", *options]


def check_machine(environment: Environment) -> None:
    """Find out before the long steps what this machine lacks.

    Raises:
        SetupError: naming what is missing and how to get it.
    """
    machine = f"{platform.system()} {platform.machine()}"
    if environment.ros == "wheels" and machine != "Linux x86_64":
        raise SetupError(
            f"ROS 2 Jazzy exists on PyPI for Linux x86_64 only; this is {machine}",
            "Install ROS 2 Jazzy (docs.ros.org/en/jazzy/Installation.html), source its setup file, and run this again.",
        )
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), None)
    if compiler is None or shutil.which(compiler.split()[0]) is None:
        raise SetupError(
            f"no C++ compiler: {compiler or 'c++, g++ and clang++'} not found; the messages need one",
            "Debian, Ubuntu: apt install build-essential",
        )
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.is_file():
        raise SetupError(
            f"{header} is missing: the headers of {sys.executable}, which the messages are compiled with",
            "Debian, Ubuntu: apt install python3-dev. Or name a Python that has them: make PYTHON=/path/to/python3",
        )
    free = shutil.disk_usage(ROOT).free
    if not environment.python.exists() and free < NEEDED_DISK:
        raise SetupError(
            f"{ROOT} has {free / 1024**3:.1f} GiB free; the set-up takes up to {NEEDED_DISK / 1024**3:.0f} GiB",
            "Make room, then run this again.",
        )


def without_own_installs(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables without this repository's own installed packages, so that a build never finds an older self."""
    cleaned = dict(environ)
    own = tuple(str(ROOT / name) for name in ("install", "ros2_ws/install"))
    for name in ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH", "LD_LIBRARY_PATH", "PYTHONPATH"):
        kept = [path for path in cleaned.get(name, "").split(os.pathsep) if path and not path.startswith(own)]
        cleaned[name] = os.pathsep.join(kept)
        if not kept:
            del cleaned[name]
    return cleaned


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait for another set-up of this repository, if one runs."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up of this repository is running; waiting for it.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
