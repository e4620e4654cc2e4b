"""Where launch descriptions come from."""

from .._coverage import refuse_uncovered
from .python_launch_description_source import (
    InvalidPythonLaunchFileError,
    PythonLaunchDescriptionSource,
    get_launch_description_from_python_launch_file,
    load_python_launch_file_as_module,
)

__all__ = [
    "InvalidPythonLaunchFileError",
    "PythonLaunchDescriptionSource",
    "get_launch_description_from_python_launch_file",
    "load_python_launch_file_as_module",
]

__getattr__ = refuse_uncovered(__name__)
