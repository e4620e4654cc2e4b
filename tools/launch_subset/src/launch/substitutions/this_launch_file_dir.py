"""Where the launch file is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..substitution import Substitution
from .substitution_failure import SubstitutionFailure

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class ThisLaunchFileDir(Substitution):
    """The directory of the launch file being visited."""

    def perform(self, context: LaunchContext) -> str:
        """The directory.

        Raises:
            SubstitutionFailure: the launch description did not come from a file.
        """
        directory = context.get_locals_as_dict().get("current_launch_file_directory")
        if directory is None:
            raise SubstitutionFailure("ThisLaunchFileDir used outside of a launch file")
        return str(directory)
