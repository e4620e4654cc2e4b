"""The command `ros2`."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence

from .usage_error import UsageError

DESCRIPTION = (
    "A small stand-in for the command of ROS 2, for machines without a ROS installation. "
    "It covers the verbs below; for the others, install ROS 2 Jazzy and source it."
)

VERBS = {
    "action": "Actions of the graph",
    "launch": "Run a launch file",
    "node": "Nodes of the graph",
    "run": "Run a package specific executable",
    "service": "Services of the graph",
    "topic": "Topics of the graph",
}


def parser(verb: str | None) -> argparse.ArgumentParser:
    """The command line, complete for one verb: loading all would take longer than many of them run."""
    top = argparse.ArgumentParser(prog="ros2", description=DESCRIPTION)
    verbs = top.add_subparsers(title="verbs", metavar="VERB")
    for name, text in VERBS.items():
        added = verbs.add_parser(name, help=text, description=text)
        if name == verb:
            importlib.import_module(f"{__package__}.{name}_verb").complete(added)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    command_line = parser(words[0] if words else None)
    arguments = command_line.parse_args(words)
    if not hasattr(arguments, "run"):
        command_line.print_help()
        return 0
    try:
        return int(arguments.run(arguments))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return int(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
