"""A parameter for the nodes that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launch.action import Action
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from .. import parameter_values

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

CONFIGURATION = "global_params"


class SetParameter(Action):
    """Sets a parameter of all nodes that follow, to the end of the group that it stands in.

    Args:
        name: of the parameter.
        value: a value, substitutions or a `ParameterValue`; what a node itself is given goes before it.
        options: `condition`, as for all actions.
    """

    def __init__(self, name: SomeSubstitutionsType, value: Any, **options: Any) -> None:
        """Keep name and value."""
        super().__init__(**options)
        self.name = normalize_to_list_of_substitutions(name)
        self.value = value

    def execute(self, context: LaunchContext) -> None:
        """Add it to the configuration that nodes read; a new tuple, so that the end of a group can restore the old."""
        name = perform_substitutions(context, self.name)
        value = parameter_values.evaluate(context, name, self.value)
        earlier = context.launch_configurations.get(CONFIGURATION, ())
        context.launch_configurations[CONFIGURATION] = (*earlier, (name, value))
