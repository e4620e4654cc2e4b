"""Where a package is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions.substitution_failure import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class FindPackage(Substitution):
    """A directory of a package, by the ament index.

    Args:
        package: its name.
    """

    def __init__(self, package: SomeSubstitutionsType) -> None:
        """Keep the name."""
        self.package = normalize_to_list_of_substitutions(package)

    def describe(self) -> str:
        """The name in brackets."""
        return f"{type(self).__name__}(pkg={' + '.join(part.describe() for part in self.package)})"

    def find(self, package_name: str) -> str:
        """The directory."""
        raise NotImplementedError(f"{type(self).__name__}.find")

    def perform(self, context: LaunchContext) -> str:
        """The directory.

        Raises:
            SubstitutionFailure: there is no such package.
        """
        try:
            return self.find(perform_substitutions(context, self.package))
        except PackageNotFoundError as error:
            raise SubstitutionFailure(str(error.args[0] if error.args else error)) from error


class FindPackagePrefix(FindPackage):
    """The prefix that a package is installed in."""

    def find(self, package_name: str) -> str:
        """The prefix."""
        return str(get_package_prefix(package_name))


class FindPackageShare(FindPackage):
    """The directory `share/<package>` of a package."""

    def find(self, package_name: str) -> str:
        """The directory."""
        return str(get_package_share_directory(package_name))
