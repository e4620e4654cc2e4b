"""An argument of a launch description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..action import Action
from ..logging import get_logger
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

NO_DESCRIPTION = "no description given"


class DeclareLaunchArgument(Action):
    """Declares an argument; its value is the launch configuration of the same name.

    Args:
        name: its name.
        default_value: its value where none is given; without one the argument is required.
        description: what it means, shown by `ros2 launch --show-args`.
        choices: the values it may take.
        options: `condition`, as for all actions.
    """

    def __init__(
        self,
        name: str,
        *,
        default_value: SomeSubstitutionsType | None = None,
        description: str | None = None,
        choices: list[str] | None = None,
        **options: Any,
    ) -> None:
        """Keep the declaration.

        Raises:
            ValueError: the list of choices is empty.
        """
        super().__init__(**options)
        if choices is not None and not choices:
            raise ValueError(f"argument {name!r}: the list of choices is empty")
        self.name = name
        self.default_value = None if default_value is None else normalize_to_list_of_substitutions(default_value)
        self.choices = choices
        if choices is None:
            self.description = description or NO_DESCRIPTION
        elif description:
            self.description = f"{description.rstrip('.')}. Valid choices are: {choices}"
        else:
            self.description = f"One of: {choices}"

    def execute(self, context: LaunchContext) -> None:
        """Set the launch configuration to its default where it is not set.

        Raises:
            RuntimeError: there is neither value nor default, or the value is not among the choices.
        """
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                raise RuntimeError(
                    f"Required launch argument '{self.name}' (description: '{self.description}') was not provided"
                )
            context.launch_configurations[self.name] = perform_substitutions(context, self.default_value)
        value = context.launch_configurations[self.name]
        if self.choices is not None and value not in self.choices:
            message = f'Argument "{self.name}" provided value "{value}" is not valid. Valid options are: {self.choices}'
            get_logger("launch.actions.declare_launch_argument").error(message)
            raise RuntimeError(message)
