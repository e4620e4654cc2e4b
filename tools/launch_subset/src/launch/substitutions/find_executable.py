"""The path of a program."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions
from .substitution_failure import SubstitutionFailure

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class FindExecutable(Substitution):
    """The path of a program on the PATH.

    Args:
        name: its name.
    """

    def __init__(self, *, name: SomeSubstitutionsType) -> None:
        """Keep the name."""
        self._name = normalize_to_list_of_substitutions(name)

    def describe(self) -> str:
        """The name in brackets."""
        return f"FindExec({' + '.join(part.describe() for part in self._name)})"

    def perform(self, context: LaunchContext) -> str:
        """The path.

        Raises:
            SubstitutionFailure: there is no such program on the PATH.
        """
        name = perform_substitutions(context, self._name)
        path = shutil.which(name, path=context.environment.get("PATH"))
        if path is None:
            raise SubstitutionFailure(f"executable '{name}' not found on the PATH")
        return path
