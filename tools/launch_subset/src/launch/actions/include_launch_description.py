"""A launch description within another."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..launch_description_entity import LaunchDescriptionEntity
from ..launch_description_source import LaunchDescriptionSource
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions
from .opaque_function import OpaqueFunction
from .set_launch_configuration import SetLaunchConfiguration

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

PLACE = ("current_launch_file_path", "current_launch_file_directory")


class IncludeLaunchDescription(Action):
    """Visits the entities of a launch description, as if they stood here: without a scope of their own.

    Args:
        launch_description_source: the description, such as `PythonLaunchDescriptionSource(path)`.
        launch_arguments: pairs of name and value; those that the description does not declare are set as well.
        options: `condition`, as for all actions.
    """

    def __init__(
        self,
        launch_description_source: LaunchDescriptionSource,
        *,
        launch_arguments: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] | None = None,
        **options: Any,
    ) -> None:
        """Keep the source.

        Raises:
            TypeError: it is not a source.
        """
        super().__init__(**options)
        if not isinstance(launch_description_source, LaunchDescriptionSource):
            raise TypeError(
                f"IncludeLaunchDescription expected a source such as PythonLaunchDescriptionSource(path), "
                f"got {launch_description_source!r}"
            )
        self.launch_description_source = launch_description_source
        self.launch_arguments = tuple(launch_arguments or ())

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """The description, where it can be found before launching."""
        description = self.launch_description_source.try_get_launch_description_without_context()
        return [] if description is None else [description]

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        """Set the arguments, then the entities of the description.

        Raises:
            RuntimeError: an argument that it, or what it includes in its turn, requires in any case is not among those
                given by the includes that lead there; a configuration of this name that is set outside does not count.
        """
        description = self.launch_description_source.get_launch_description(context)
        path = self.launch_description_source.location
        given = self._given(context)
        for argument, includes in description.get_launch_arguments_with_include_launch_description_actions():
            names = {name for include in (self, *includes) for name in include._given(context)}
            if argument.default_value is None and argument.name not in names:
                raise RuntimeError(
                    f"Included launch description missing required argument '{argument.name}' "
                    f"(description: '{argument.description}'), given: [{', '.join(given)}]"
                )
        outer = {name: context.get_locals_as_dict().get(name) for name in PLACE}
        inner = dict(zip(PLACE, (path, os.path.dirname(os.path.abspath(path))), strict=True))
        return [
            OpaqueFunction(function=_set_place, args=[inner]),
            *(SetLaunchConfiguration(name, value) for name, value in given.items()),
            description,
            OpaqueFunction(function=_set_place, args=[outer]),
        ]

    def _given(self, context: LaunchContext) -> dict[str, SomeSubstitutionsType]:
        return {
            perform_substitutions(context, normalize_to_list_of_substitutions(name)): value
            for name, value in self.launch_arguments
        }


def _set_place(context: LaunchContext, place: dict[str, str | None]) -> None:
    """Tell `ThisLaunchFileDir` where the entities that follow come from."""
    context.extend_globals(place)
