"""Whatever a function does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..action import Action

if TYPE_CHECKING:
    from ..launch_context import LaunchContext
    from ..launch_description_entity import LaunchDescriptionEntity


class OpaqueFunction(Action):
    """Calls a function when it is visited, and visits the entities that it returns.

    Args:
        function: called as `function(context, *args, **kwargs)`; returns a list of entities or None.
        args: further positional arguments.
        kwargs: further named arguments.
        options: `condition`, as for all actions.
    """

    def __init__(
        self,
        *,
        function: Callable[..., list[LaunchDescriptionEntity] | None],
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Keep the function.

        Raises:
            TypeError: it cannot be called.
        """
        super().__init__(**options)
        if not callable(function):
            raise TypeError(f"OpaqueFunction expected a function, got {function!r}")
        self._function = function
        self._args = tuple(args or ())
        self._kwargs = dict(kwargs or {})

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Call it."""
        return self._function(context, *self._args, **self._kwargs)
