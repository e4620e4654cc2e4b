"""Where a launch description comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .launch_description import LaunchDescription
from .some_substitutions_type import SomeSubstitutionsType
from .utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class LaunchDescriptionSource:
    """A launch description, at hand or loaded when it is asked for.

    Args:
        launch_description: the description when it is at hand.
        location: path of its file, or a name for people.
    """

    def __init__(
        self,
        launch_description: LaunchDescription | None = None,
        location: SomeSubstitutionsType = "<string>",
    ) -> None:
        """Keep description and location."""
        self._description = launch_description
        self._location = normalize_to_list_of_substitutions(location)
        self._expanded: str | None = None

    @property
    def location(self) -> str:
        """The path or name, once it was expanded, else how it is described."""
        return self._expanded or " + ".join(part.describe() for part in self._location)

    def get_launch_description(self, context: LaunchContext) -> LaunchDescription:
        """The description, loaded at the first call."""
        if self._description is None:
            self._expanded = perform_substitutions(context, self._location)
            self._description = self._load(self._expanded)
        return self._description

    def try_get_launch_description_without_context(self) -> LaunchDescription | None:
        """The description when nothing but the environment is needed to find it, else None."""
        from .launch_context import LaunchContext
        from .substitutions.substitution_failure import SubstitutionFailure

        try:
            return self.get_launch_description(LaunchContext())
        except SubstitutionFailure:
            return None

    def _load(self, location: str) -> LaunchDescription:
        raise NotImplementedError(f"{type(self).__name__} cannot load {location!r}")
