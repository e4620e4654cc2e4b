"""A path from its parts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class PathJoinSubstitution(Substitution):
    """A path, joined as the operating system writes it; an absolute part discards those before it.

    Args:
        substitutions: the parts.
    """

    def __init__(self, substitutions: Iterable[str | Substitution]) -> None:
        """Keep the parts."""
        self._parts = normalize_to_list_of_substitutions(substitutions)

    def describe(self) -> str:
        """The parts in brackets."""
        return f"PathJoin({', '.join(part.describe() for part in self._parts)})"

    def perform(self, context: LaunchContext) -> str:
        """The path."""
        return os.path.join(*(context.perform_substitution(part) for part in self._parts))
