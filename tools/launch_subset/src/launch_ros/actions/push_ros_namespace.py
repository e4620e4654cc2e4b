"""A namespace for the nodes that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launch.action import Action
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

CONFIGURATION = "ros_namespace"


def joined(outer: str, inner: str) -> str:
    """A namespace below another; an absolute one stands for itself; always absolute, without a slash at its end."""
    path = inner if inner.startswith("/") else f"{outer}/{inner}"
    return "/" + "/".join(part for part in path.split("/") if part)


class PushROSNamespace(Action):
    """Puts the nodes that follow in a namespace, to the end of the group that it stands in.

    Args:
        namespace: below the one pushed before, unless it begins with a slash.
        options: `condition`, as for all actions.
    """

    def __init__(self, namespace: SomeSubstitutionsType, **options: Any) -> None:
        """Keep the namespace."""
        super().__init__(**options)
        self.namespace = normalize_to_list_of_substitutions(namespace)

    def execute(self, context: LaunchContext) -> None:
        """Set the configuration that nodes read."""
        outer = context.launch_configurations.get(CONFIGURATION, "")
        context.launch_configurations[CONFIGURATION] = joined(outer, perform_substitutions(context, self.namespace))
