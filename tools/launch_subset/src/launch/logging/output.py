"""Where the output of a process goes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Union

from .launch_config import launch_config

OutputConfig = Union[str, Mapping[str, Union[str, Iterable[str]]]]  # noqa: UP007

DESTINATIONS = ("screen", "log", "own_log")

#: Destinations by source; `both` is standard output and standard error together.
ALIASES: dict[str, dict[str, tuple[str, ...]]] = {
    "screen": {"both": ("screen",)},
    "log": {"both": ("log",), "stderr": ("screen",)},
    "both": {"both": ("screen", "log")},
    "own_log": {"stdout": ("own_log",), "stderr": ("own_log",), "both": ("own_log",)},
    "full": {"stdout": ("own_log",), "stderr": ("own_log",), "both": ("screen", "log", "own_log")},
}


class OutputLogger:
    """Writes the lines of one stream of a process.

    Args:
        screen: whether they are shown.
        log: whether they go to the log file of the launch.
        files: names of further files in the log directory.
    """

    def __init__(self, screen: bool, log: bool, files: Iterable[str]) -> None:
        """Keep the destinations; files are opened at the first line."""
        self.screen = screen
        self.log = log
        self.files = tuple(files)

    def write(self, line: str) -> None:
        """One line, without its end."""
        if self.screen:
            print(line, flush=True)
        if self.log:
            launch_config.append("launch.log", f"{time.time():.7f} {line}")
        for file_name in self.files:
            launch_config.append(file_name, f"{time.time():.7f} {line}")


def get_output_loggers(process_name: str, output_config: OutputConfig) -> tuple[OutputLogger, OutputLogger]:
    """The loggers of standard output and standard error of a process.

    Args:
        process_name: its name, with its number.
        output_config: `screen`, `log`, `both`, `own_log` or `full`; or destinations (screen, log, own_log) by source
            (stdout, stderr, both).

    Raises:
        ValueError: there is no such alias, source or destination.
    """
    if isinstance(output_config, str):
        if output_config not in ALIASES:
            raise ValueError(f"output {output_config!r} of {process_name}; allowed are {', '.join(ALIASES)}")
        config: Mapping[str, str | Iterable[str]] = ALIASES[output_config]
    else:
        config = output_config
    chosen: dict[str, set[str]] = {"stdout": set(), "stderr": set(), "both": set()}
    for source, destinations in config.items():
        if source not in chosen:
            raise ValueError(f"output of {process_name}: source {source!r}; allowed are {', '.join(chosen)}")
        chosen[source] = {destinations} if isinstance(destinations, str) else set(destinations)
        for destination in chosen[source].difference(DESTINATIONS):
            raise ValueError(
                f"output of {process_name}: destination {destination!r}; allowed are {', '.join(DESTINATIONS)}"
            )

    def logger(source: str) -> OutputLogger:
        all_destinations = chosen[source] | chosen["both"]
        files = [f"{process_name}-{source}.log"] if "own_log" in chosen[source] else []
        files += [f"{process_name}.log"] if "own_log" in chosen["both"] else []
        return OutputLogger("screen" in all_destinations, "log" in all_destinations, files)

    return logger("stdout"), logger("stderr")
