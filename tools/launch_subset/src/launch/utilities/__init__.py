"""Turning what users write into lists of one type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..launch_description_entity import LaunchDescriptionEntity
from ..some_entities_type import SomeEntitiesType
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

__all__ = ["normalize_to_list_of_entities", "normalize_to_list_of_substitutions", "perform_substitutions"]


def normalize_to_list_of_substitutions(subs: SomeSubstitutionsType) -> list[Substitution]:
    """A string, a substitution or an iterable of both, as a list of substitutions.

    Raises:
        TypeError: something else was given.
    """
    from ..substitutions.text_substitution import TextSubstitution

    def one(item: object) -> Substitution:
        if isinstance(item, Substitution):
            return item
        if isinstance(item, str):
            return TextSubstitution(text=item)
        raise TypeError(f"expected text or a substitution, got {item!r} of type {type(item).__name__}")

    if isinstance(subs, Iterable) and not isinstance(subs, str):
        return [one(item) for item in subs]
    return [one(subs)]


def perform_substitutions(context: LaunchContext, subs: Iterable[Substitution]) -> str:
    """The texts of the substitutions, one after the other without a gap."""
    return "".join(context.perform_substitution(sub) for sub in subs)


def normalize_to_list_of_entities(entities: SomeEntitiesType | None) -> list[LaunchDescriptionEntity]:
    """An entity, an iterable of entities or None, as a list of entities.

    Raises:
        TypeError: something else was given.
    """
    found = [entities] if isinstance(entities, LaunchDescriptionEntity) else list(entities or [])
    for entity in found:
        if not isinstance(entity, LaunchDescriptionEntity):
            raise TypeError(f"expected an action or another launch entity, got {entity!r}")
    return found
