"""The value of a Python expression."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class PythonExpression(Substitution):
    """`str` of a Python expression, which may use given modules by name; those of `math` also without it.

    Args:
        expression: its text, in which other substitutions may stand.
        python_modules: the modules.
    """

    def __init__(
        self, expression: SomeSubstitutionsType, python_modules: Iterable[SomeSubstitutionsType] = ("math",)
    ) -> None:
        """Keep the expression."""
        self._expression = normalize_to_list_of_substitutions(expression)
        modules = [python_modules] if isinstance(python_modules, (str, Substitution)) else list(python_modules)
        self._modules = [normalize_to_list_of_substitutions(module) for module in modules]

    def describe(self) -> str:
        """The expression in brackets."""
        return f"PythonExpr({' + '.join(part.describe() for part in self._expression)})"

    def perform(self, context: LaunchContext) -> str:
        """The value; what the expression raises is not caught."""
        names: dict[str, Any] = {}
        for module_parts in self._modules:
            name = perform_substitutions(context, module_parts)
            module = importlib.import_module(name)
            names[name.partition(".")[0]] = importlib.import_module(name.partition(".")[0])
            if name == "math":
                names.update({key: value for key, value in vars(module).items() if not key.startswith("_")})
        return str(eval(perform_substitutions(context, self._expression), names))
