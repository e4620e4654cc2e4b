"""What the subset does not cover is refused by name, never ignored."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

README = "tools/launch_subset/README.md"


def refuse_uncovered(module: str) -> Callable[[str], NoReturn]:
    """A module `__getattr__` whose error says that the subset is at work and what it lacks.

    Raises:
        ImportError: by the returned function, for names of classes, which is what launch files import.
        AttributeError: by the returned function, for any other name.
    """

    def __getattr__(name: str) -> NoReturn:
        if name[:1].isupper():
            raise ImportError(
                f"{module}.{name} is not covered by the launch subset of mbpl; {README} lists what is. "
                f"With ROS 2 installed and sourced, the genuine '{module.partition('.')[0]}' is used instead."
            )
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return __getattr__
