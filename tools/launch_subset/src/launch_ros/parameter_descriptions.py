"""Parameters with more to say about them than name and value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launch._coverage import refuse_uncovered
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from . import parameter_values

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class ParameterValue:
    """A value of a given type.

    Args:
        value: a value, or substitutions.
        value_type: bool, int, float, str or a list of these, such as `list[float]`, that the text of substitutions is
            turned into; none means what YAML reads from it.
    """

    def __init__(self, value: Any, *, value_type: Any = None) -> None:
        """Keep value and type."""
        self.value = value
        self.value_type = value_type

    def evaluate(self, context: LaunchContext, name: str = "value") -> Any:
        """The value.

        Raises:
            ValueError: the text does not say a value of the type.
            TypeError: no parameter can have the value.
        """
        if self.value_type is None or not (
            isinstance(self.value, str) or parameter_values.has_substitution(self.value)
        ):
            return parameter_values.evaluate(context, name, self.value)
        text = perform_substitutions(context, normalize_to_list_of_substitutions(self.value))
        return parameter_values.coerced(name, text, self.value_type)


__getattr__ = refuse_uncovered(__name__)
