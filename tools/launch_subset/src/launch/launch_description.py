"""The list of what is to be done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .launch_description_entity import LaunchDescriptionEntity
from .utilities import normalize_to_list_of_entities

if TYPE_CHECKING:
    from .actions.declare_launch_argument import DeclareLaunchArgument
    from .actions.include_launch_description import IncludeLaunchDescription
    from .launch_context import LaunchContext


class LaunchDescription(LaunchDescriptionEntity):
    """Entities, visited in order.

    Args:
        initial_entities: the first entities.
    """

    def __init__(self, initial_entities: Iterable[LaunchDescriptionEntity] | None = None) -> None:
        """Keep the entities."""
        self._entities = normalize_to_list_of_entities(initial_entities)

    @property
    def entities(self) -> list[LaunchDescriptionEntity]:
        """The entities, in order; the list itself."""
        return self._entities

    def add_entity(self, entity: LaunchDescriptionEntity) -> None:
        """Append."""
        self._entities.extend(normalize_to_list_of_entities(entity))

    def add_action(self, action: LaunchDescriptionEntity) -> None:
        """Append."""
        self.add_entity(action)

    def visit(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """The entities."""
        return self._entities

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """The entities."""
        return self._entities

    def get_launch_arguments(self, conditional_inclusion: bool = False) -> list[DeclareLaunchArgument]:
        """The declared arguments, the first of each name, in order.

        Args:
            conditional_inclusion: those that may or may not be visited too.
        """
        found: dict[str, DeclareLaunchArgument] = {}
        for argument, _ in self.get_launch_arguments_with_include_launch_description_actions(conditional_inclusion):
            found.setdefault(argument.name, argument)
        return list(found.values())

    def get_launch_arguments_with_include_launch_description_actions(
        self, conditional_inclusion: bool = False
    ) -> list[tuple[DeclareLaunchArgument, list[IncludeLaunchDescription]]]:
        """The declared arguments in order, each with the includes that lead to it from here.

        Args:
            conditional_inclusion: those that may or may not be visited too.
        """
        from .actions.declare_launch_argument import DeclareLaunchArgument
        from .actions.include_launch_description import IncludeLaunchDescription

        found: list[tuple[DeclareLaunchArgument, list[IncludeLaunchDescription]]] = []

        def look_through(entities: Iterable[LaunchDescriptionEntity], includes: list[IncludeLaunchDescription]) -> None:
            for entity in entities:
                if getattr(entity, "condition", None) is not None and not conditional_inclusion:
                    continue
                if isinstance(entity, DeclareLaunchArgument):
                    found.append((entity, includes))
                path = [*includes, entity] if isinstance(entity, IncludeLaunchDescription) else includes
                look_through(entity.describe_sub_entities(), path)
                if conditional_inclusion:
                    for _, group in entity.describe_conditional_sub_entities():
                        look_through(group, path)

        look_through(self._entities, [])
        return found
