"""`ros2 run`: run a program of a package."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from .usage_error import UsageError


def complete(verb: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    verb.add_argument("--prefix", default="", help="words before the program, such as 'gdb -ex run --args'")
    verb.add_argument("package_name", help="name of the package")
    verb.add_argument("executable_name", help="name of the program")
    verb.add_argument("argv", nargs=argparse.REMAINDER, help="arguments of the program")
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the program to its end; its exit code.

    Raises:
        UsageError: there is no such package, or it has no such program.
    """
    path = find_executable(arguments.package_name, arguments.executable_name)
    process = subprocess.Popen([*shlex.split(arguments.prefix), path, *arguments.argv])
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            # The terminal sends Ctrl-C to the program too, and the program decides what it means.
            continue
        if code < 0:
            print(f"[ros2run]: {signal.strsignal(-code)}", file=sys.stderr)
        elif code > 0:
            print(f"[ros2run]: Process exited with failure {code}", file=sys.stderr)
        return code


def find_executable(package: str, name: str) -> str:
    """The path of a program in the directory `lib/<package>`.

    Raises:
        UsageError: there is no such package, or it has no such program.
    """
    try:
        directory = Path(get_package_prefix(package)) / "lib" / package
    except (PackageNotFoundError, ValueError) as error:
        raise UsageError(f"Package '{package}' not found") from error
    path = directory / name
    if path.is_file() and os.access(path, os.X_OK):
        return str(path)
    names = sorted(file.name for file in directory.glob("*") if file.is_file() and os.access(file, os.X_OK))
    raise UsageError(f"No executable found: '{name}' is not among those of '{package}': {', '.join(names) or 'none'}")
