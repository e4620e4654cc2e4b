"""What is shown, and what is written to files."""

from .launch_config import LaunchConfig, launch_config
from .loggers import get_logger, reset, set_level
from .output import OutputLogger, get_output_loggers

__all__ = [
    "LaunchConfig",
    "OutputLogger",
    "get_logger",
    "get_output_loggers",
    "launch_config",
    "reset",
    "set_level",
]
