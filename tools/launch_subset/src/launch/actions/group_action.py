"""Several actions as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..launch_description_entity import LaunchDescriptionEntity
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_entities
from .set_launch_configuration import SetLaunchConfiguration

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class GroupAction(Action):
    """Visits its actions, by default in a scope of their own.

    Args:
        actions: the actions.
        scoped: launch configurations and environment are as before the group once it is done.
        launch_configurations: set for the group.
        options: `condition`, as for all actions.
    """

    def __init__(
        self,
        actions: Iterable[LaunchDescriptionEntity],
        *,
        scoped: bool = True,
        launch_configurations: Mapping[Any, SomeSubstitutionsType] | None = None,
        **options: Any,
    ) -> None:
        """Keep the actions."""
        super().__init__(**options)
        self._actions: list[LaunchDescriptionEntity] = [
            SetLaunchConfiguration(name, value) for name, value in (launch_configurations or {}).items()
        ]
        self._actions += normalize_to_list_of_entities(actions)
        self._scoped = scoped

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """The actions, between the begin and the end of their scope."""
        return [_EnterScope(), *self._actions, _LeaveScope()] if self._scoped else list(self._actions)

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        """The actions."""
        return self.get_sub_entities()

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """The actions."""
        return list(self._actions)


class _EnterScope(Action):
    def execute(self, context: LaunchContext) -> None:
        context.push_scope()


class _LeaveScope(Action):
    def execute(self, context: LaunchContext) -> None:
        context.pop_scope()
