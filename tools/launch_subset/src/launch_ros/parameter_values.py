"""From what users write to values that a ROS parameter can have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import yaml
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

SCALARS = (bool, int, float, str)


def evaluate(context: LaunchContext, name: str, value: object) -> Any:
    """The value of a parameter.

    Numbers, truth values and text stand for themselves, and lists of one of these types too. Substitutions are
    evaluated to text, and that is read as YAML: `LaunchConfiguration("rate")` of 200.0 becomes a float.

    Raises:
        TypeError: it comes to something that no parameter can have.
    """
    from .parameter_descriptions import ParameterValue

    if isinstance(value, ParameterValue):
        return value.evaluate(context, name)
    if isinstance(value, SCALARS):
        return value
    if has_substitution(value):
        parts = normalize_to_list_of_substitutions(value)  # type: ignore[arg-type]
        return read_yaml(name, perform_substitutions(context, parts))
    return checked(name, list(value) if isinstance(value, tuple) else value)


def has_substitution(value: object) -> bool:
    """Whether it is a substitution, or a list or tuple with one."""
    if isinstance(value, (list, tuple)):
        return any(isinstance(item, Substitution) for item in value)
    return isinstance(value, Substitution)


def read_yaml(name: str, text: str) -> Any:
    """The value that YAML reads from a text; an empty text is an empty text.

    Raises:
        TypeError: no parameter can have it.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    return checked(name, "" if value is None else value)


def checked(name: str, value: object) -> Any:
    """The value, when a parameter can have it: a scalar, or a list of scalars of one type.

    Raises:
        TypeError: it cannot.
    """
    if isinstance(value, SCALARS):
        return value
    if isinstance(value, list):
        kinds = {type(item) for item in value}
        if len(kinds) == 1 and kinds.issubset(SCALARS):
            return value
        raise TypeError(
            f"parameter {name!r}: a list must not be empty, and its items must be of one type among bool, int, float "
            f"and str; got {value!r}"
        )
    raise TypeError(
        f"parameter {name!r}: allowed are bool, int, float, str and lists of these, got {value!r} of type "
        f"{type(value).__name__}; where text is meant, use ParameterValue(value, value_type=str)"
    )


def coerced(name: str, text: str, value_type: Any) -> Any:
    """A text as a value of a given type.

    Raises:
        ValueError: the text does not say such a value.
    """
    if value_type is str:
        return text
    if get_origin(value_type) is list:
        (item_type,) = get_args(value_type)
        items = yaml.safe_load(text)
        if not isinstance(items, list):
            raise ValueError(f"parameter {name!r}: {text!r} is not a list")
        return [coerced(name, item if isinstance(item, str) else as_argument(item), item_type) for item in items]
    if value_type is float:
        return float(text)
    value = yaml.safe_load(text)
    if type(value) is not value_type:
        raise ValueError(f"parameter {name!r}: {text!r} is not a value of type {value_type.__name__}")
    return value


def flattened(context: LaunchContext, parameters: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Evaluate a dictionary of parameters; names within a dictionary in it are joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        name = prefix + perform_substitutions(context, normalize_to_list_of_substitutions(key))
        if isinstance(value, Mapping):
            flat.update(flattened(context, value, f"{name}."))
        else:
            flat[name] = evaluate(context, name, value)
    return flat


def write_parameter_file(path: str, node: str, parameters: Mapping[str, Any]) -> None:
    """Write a parameter file for a node, or for all with the wildcard `/**`."""
    content = yaml.safe_dump({node: {"ros__parameters": dict(parameters)}}, default_flow_style=False)
    Path(path).write_text(content, encoding="utf-8")


def as_argument(value: object) -> str:
    """A value as it stands behind `:=` on a command line."""
    return yaml.safe_dump(value, default_flow_style=True, width=float("inf")).removesuffix("\n").removesuffix("\n...")


def is_path(entry: object) -> bool:
    """Whether an entry of a node's parameters is the path of a file."""
    return isinstance(entry, (str, Path, Substitution)) or (
        isinstance(entry, Iterable) and not isinstance(entry, Mapping)
    )
