"""Launch files in Python."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from ..launch_description import LaunchDescription
from ..launch_description_source import LaunchDescriptionSource
from ..some_substitutions_type import SomeSubstitutionsType

FUNCTION = "generate_launch_description"


class InvalidPythonLaunchFileError(Exception):
    """A launch file without its function, or one that does not return a launch description."""


class PythonLaunchDescriptionSource(LaunchDescriptionSource):
    """A launch file in Python: what its function `generate_launch_description()` returns.

    Args:
        launch_file_path: its path.
    """

    def __init__(self, launch_file_path: SomeSubstitutionsType) -> None:
        """Keep the path."""
        super().__init__(location=launch_file_path)

    def _load(self, location: str) -> LaunchDescription:
        return get_launch_description_from_python_launch_file(location)


def load_python_launch_file_as_module(python_launch_file_path: str) -> ModuleType:
    """The launch file as a module of its own, loaded anew at each call; no byte code is written.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(python_launch_file_path)
    if not path.is_file():
        raise FileNotFoundError(f"the launch file {str(path)!r} does not exist")
    module = ModuleType(path.name.partition(".")[0])
    module.__file__ = str(path)
    module.__spec__ = importlib.util.spec_from_loader(module.__name__, loader=None, origin=str(path))
    exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    return module


def get_launch_description_from_python_launch_file(python_launch_file_path: str) -> LaunchDescription:
    """What `generate_launch_description()` of the file returns.

    Raises:
        InvalidPythonLaunchFileError: the file has no such function, or it returns something else.
    """
    function = getattr(load_python_launch_file_as_module(python_launch_file_path), FUNCTION, None)
    if function is None:
        raise InvalidPythonLaunchFileError(
            f"launch file at '{python_launch_file_path}' does not contain the required function '{FUNCTION}()'"
        )
    description = function()
    if not isinstance(description, LaunchDescription):
        raise InvalidPythonLaunchFileError(
            f"{FUNCTION}() of '{python_launch_file_path}' has to return a LaunchDescription, "
            f"got '{type(description).__name__}'"
        )
    return description
