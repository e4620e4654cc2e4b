"""Removing an environment variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..action import Action
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class UnsetEnvironmentVariable(Action):
    """Removes an environment variable, if it is set, in the scope of the group that it stands in.

    Args:
        name: of the variable.
        options: `condition`, as for all actions.
    """

    def __init__(self, name: SomeSubstitutionsType, **options: Any) -> None:
        """Keep the name."""
        super().__init__(**options)
        self.name = normalize_to_list_of_substitutions(name)

    def execute(self, context: LaunchContext) -> None:
        """Remove it."""
        context.environment.pop(perform_substitutions(context, self.name), None)
