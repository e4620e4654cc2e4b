"""Loggers that write to the screen and to the log file of the launch."""

from __future__ import annotations

import logging
import sys

from .launch_config import launch_config

_loggers: dict[str, logging.Logger] = {}


class ScreenHandler(logging.Handler):
    """Writes to what is standard output at the moment, so that a test runner can capture it."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        try:
            print(self.format(record), file=sys.stdout, flush=True)
        except Exception:
            self.handleError(record)


class LaunchFileHandler(logging.Handler):
    """Appends to a file in the log directory of the launch, a line at a time.

    Args:
        file_name: its name.
    """

    def __init__(self, file_name: str) -> None:
        """Open nothing yet."""
        super().__init__()
        self._file_name = file_name

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        try:
            launch_config.append(self._file_name, self.format(record))
        except Exception:
            self.handleError(record)


screen_handler = ScreenHandler()
screen_handler.setFormatter(logging.Formatter("[%(levelname)s] [%(name)s]: %(message)s"))
file_handler = LaunchFileHandler("launch.log")
file_handler.setFormatter(logging.Formatter("%(created).7f [%(levelname)s] [%(name)s]: %(message)s"))


def get_logger(name: str = "root") -> logging.Logger:
    """The logger of a name; apart from those of the standard library, so its configuration changes nothing here."""
    if name not in _loggers:
        logger = logging.Logger(name, _level)
        logger.addHandler(screen_handler)
        logger.addHandler(file_handler)
        _loggers[name] = logger
    return _loggers[name]


def set_level(level: int) -> None:
    """The least level that is shown and written, of loggers there are and those to come."""
    global _level
    _level = level
    for logger in _loggers.values():
        logger.setLevel(level)


def reset() -> None:
    """A new log directory, and the level INFO."""
    launch_config.reset()
    set_level(logging.INFO)


_level = logging.INFO
