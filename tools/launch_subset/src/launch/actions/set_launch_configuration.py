"""Setting a launch configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..action import Action
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class SetLaunchConfiguration(Action):
    """Sets a launch configuration, in the scope of the group that it stands in.

    Args:
        name: of the configuration.
        value: of the configuration.
        options: `condition`, as for all actions.
    """

    def __init__(self, name: SomeSubstitutionsType, value: SomeSubstitutionsType, **options: Any) -> None:
        """Keep name and value."""
        super().__init__(**options)
        self.name = normalize_to_list_of_substitutions(name)
        self.value = normalize_to_list_of_substitutions(value)

    def execute(self, context: LaunchContext) -> None:
        """Set it."""
        name = perform_substitutions(context, self.name)
        context.launch_configurations[name] = perform_substitutions(context, self.value)
