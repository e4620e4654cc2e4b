"""A line for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..action import Action
from ..logging import get_logger
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class LogInfo(Action):
    """Logs a message.

    Args:
        msg: the message.
        options: `condition`, as for all actions.
    """

    def __init__(self, *, msg: SomeSubstitutionsType, **options: Any) -> None:
        """Keep the message."""
        super().__init__(**options)
        self.msg = normalize_to_list_of_substitutions(msg)

    def execute(self, context: LaunchContext) -> None:
        """Log it."""
        get_logger("launch.user").info(perform_substitutions(context, self.msg))
