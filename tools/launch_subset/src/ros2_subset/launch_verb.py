"""`ros2 launch`: carry a launch file out."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import (
    PythonLaunchDescriptionSource,
    get_launch_description_from_python_launch_file,
)
from launch.logging import get_logger, launch_config

from .usage_error import UsageError


def complete(verb: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    verb.add_argument("package_name", help="name of the package with the launch file; or the path of a launch file")
    verb.add_argument("launch_file_name", nargs="?", help="name of the launch file; left out behind a path")
    verb.add_argument("launch_arguments", nargs="*", help="'<name>:=<value>'; of several for a name the last counts")
    verb.add_argument("-n", "--noninteractive", action="store_true", help="there is no terminal")
    verb.add_argument("-d", "--debug", action="store_true", help="show more, among it where an error came from")
    verb.add_argument(
        "-s", "--show-args", "--show-arguments", action="store_true", help="show the arguments of the launch file"
    )
    verb.add_argument(
        "-a",
        "--show-all-subprocesses-output",
        action="store_true",
        help="show all output of all processes, whatever the launch file says",
    )
    verb.add_argument("--launch-prefix", default="", help="words before the command line of every process")
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry it out; 0, or 1 after an error.

    Raises:
        UsageError: there is no such launch file, or an argument is not `<name>:=<value>`.
    """
    words = list(arguments.launch_arguments)
    if os.path.isfile(arguments.package_name):
        path = arguments.package_name
        if arguments.launch_file_name is not None:
            words.insert(0, arguments.launch_file_name)
    else:
        path = find_launch_file(arguments.package_name, arguments.launch_file_name)
    given = parse_launch_arguments(words)
    if arguments.show_args:
        print_arguments(path)
        return 0
    if arguments.show_all_subprocesses_output:
        os.environ["OVERRIDE_LAUNCH_PROCESS_OUTPUT"] = "both"
    noninteractive = arguments.noninteractive or not sys.stdin.isatty()
    logger = get_logger("launch")
    logger.info(f"All log files can be found below {launch_config.log_dir}")
    service = LaunchService(noninteractive=noninteractive, debug=arguments.debug)
    if arguments.launch_prefix:
        service.context.launch_configurations["launch-prefix"] = arguments.launch_prefix
    source = PythonLaunchDescriptionSource(path)
    service.include_launch_description(
        LaunchDescription([IncludeLaunchDescription(source, launch_arguments=list(given.items()))])
    )
    return service.run()


def find_launch_file(package: str, file_name: str | None) -> str:
    """The path of a launch file in the share directory of a package.

    Raises:
        UsageError: there is no such package or file, or several files of this name.
    """
    try:
        share = get_package_share_directory(package)
    except PackageNotFoundError as error:
        raise UsageError(f"Package '{package}' not found: {error.args[0] if error.args else error}") from error
    except ValueError as error:
        raise UsageError(f"{error}; and there is no launch file of this path") from error
    found = sorted(str(path) for path in Path(share).rglob("*") if path.name == file_name and path.is_file())
    if not found:
        names = sorted(path.name for path in Path(share).rglob("*launch.py"))
        raise UsageError(
            f"file '{file_name}' was not found in the share directory of package '{package}' which is at '{share}'; "
            f"launch files there: {', '.join(names) or 'none'}"
        )
    if len(found) > 1:
        raise UsageError(f"file '{file_name}' was found more than once in package '{package}': {', '.join(found)}")
    return found[0]


def parse_launch_arguments(words: list[str]) -> dict[str, str]:
    """Name and value of `<name>:=<value>`; of several for a name the last counts.

    Raises:
        UsageError: a word is not of this form; an empty value is not, either.
    """
    given: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not (name and separator and value):
            raise UsageError(f"malformed launch argument '{word}', expected format '<name>:=<value>'")
        given[name] = value
    return given


def print_arguments(path: str) -> None:
    """Show the arguments of a launch file, and of those that it includes."""
    arguments = get_launch_description_from_python_launch_file(path).get_launch_arguments(conditional_inclusion=True)
    print("Arguments (pass arguments as '<name>:=<value>'):")
    if not arguments:
        print("\n  No arguments.")
    for argument in arguments:
        print(f"\n    '{argument.name}':\n        {argument.description}")
        if argument.default_value is not None:
            print(f"        (default: {' + '.join(part.describe() for part in argument.default_value)})")
