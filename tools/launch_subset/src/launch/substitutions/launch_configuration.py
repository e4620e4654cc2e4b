"""The value of a launch argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions
from .substitution_failure import SubstitutionFailure

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class LaunchConfiguration(Substitution):
    """The value of a launch configuration.

    Args:
        variable_name: its name.
        default: what it is where it is not set; without one that is an error.
    """

    def __init__(self, variable_name: SomeSubstitutionsType, *, default: object | None = None) -> None:
        """Keep name and default; a default that is not text is taken as `str` gives it."""
        self._name = normalize_to_list_of_substitutions(variable_name)
        if default is None:
            self._default = None
        elif isinstance(default, (str, Substitution)):
            self._default = normalize_to_list_of_substitutions(default)
        elif isinstance(default, (list, tuple)):
            self._default = normalize_to_list_of_substitutions(
                item if isinstance(item, Substitution) else str(item) for item in default
            )
        else:
            self._default = normalize_to_list_of_substitutions(str(default))

    @property
    def variable_name(self) -> list[Substitution]:
        """The name."""
        return self._name

    def describe(self) -> str:
        """The name in brackets."""
        return f"LaunchConfig({' + '.join(part.describe() for part in self._name)})"

    def perform(self, context: LaunchContext) -> str:
        """The value.

        Raises:
            SubstitutionFailure: it is not set and there is no default.
        """
        name = perform_substitutions(context, self._name)
        if name in context.launch_configurations:
            return str(context.launch_configurations[name])
        if self._default is None:
            raise SubstitutionFailure(f"launch configuration '{name}' does not exist")
        return perform_substitutions(context, self._default)
