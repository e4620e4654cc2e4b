"""What can stand where text is expected: a string, a substitution, or several of them in a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Union

from .substitution import Substitution

SomeSubstitutionsType = Union[str, Substitution, Iterable[Union[str, Substitution]]]  # noqa: UP007
SomeSubstitutionsType_types_tuple = (str, Substitution, Iterable)
