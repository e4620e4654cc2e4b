"""Whether two values are the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

TRUTH = {"true": True, "false": False}


class EqualsSubstitution(Substitution):
    """`true` where both sides are the same text, number or truth value, else `false`.

    Args:
        left: text, substitutions, a number, a truth value, or None for no text.
        right: the same.
    """

    def __init__(self, left: object, right: object) -> None:
        """Keep both sides."""
        self._left = _as_substitutions(left)
        self._right = _as_substitutions(right)

    def perform(self, context: LaunchContext) -> str:
        """Whether they are the same."""
        left = perform_substitutions(context, self._left)
        right = perform_substitutions(context, self._right)
        return str(_same(left, right)).lower()


class NotEqualsSubstitution(EqualsSubstitution):
    """`false` where `EqualsSubstitution` is true, and the other way round."""

    def perform(self, context: LaunchContext) -> str:
        """Whether they differ."""
        return "false" if super().perform(context) == "true" else "true"


def _as_substitutions(side: object) -> list[Substitution]:
    if side is None:
        return []
    if isinstance(side, (list, tuple)):
        return [part for item in side for part in _as_substitutions(item)]
    return normalize_to_list_of_substitutions(side if isinstance(side, (str, Substitution)) else str(side))


def _same(left: str, right: str) -> bool:
    if left.lower() in TRUTH and right.lower() in TRUTH:
        return TRUTH[left.lower()] == TRUTH[right.lower()]
    try:
        return math.isclose(float(left), float(right))
    except ValueError:
        return left == right
