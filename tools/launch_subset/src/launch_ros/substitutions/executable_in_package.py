"""A program of a package."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitutions.substitution_failure import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from .find_package import FindPackagePrefix

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class ExecutableInPackage(FindPackagePrefix):
    """The path of a program in the directory `lib/<package>` of a package.

    Args:
        executable: its name.
        package: of the package.
    """

    def __init__(self, executable: SomeSubstitutionsType, package: SomeSubstitutionsType) -> None:
        """Keep both names."""
        super().__init__(package)
        self.executable = normalize_to_list_of_substitutions(executable)

    def perform(self, context: LaunchContext) -> str:
        """The path.

        Raises:
            SubstitutionFailure: there is no such package, or it has no such program.
        """
        directory = os.path.join(super().perform(context), "lib", perform_substitutions(context, self.package))
        executable = perform_substitutions(context, self.executable)
        path = os.path.join(directory, executable)
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            raise SubstitutionFailure(f"executable '{executable}' not found on the libexec directory '{directory}'")
        return path
