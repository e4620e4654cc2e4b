"""Between YAML and messages."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

import yaml

from .usage_error import UsageError


def load_type(name: str, kind: str) -> Any:
    """The class of a message, service or action.

    Args:
        name: `package/kind/Type`, or `package/Type` for short.
        kind: msg, srv or action.

    Raises:
        UsageError: there is no such type.
    """
    parts = name.split("/")
    if len(parts) == 2:
        parts.insert(1, kind)
    if len(parts) != 3 or parts[1] != kind:
        raise UsageError(f"'{name}' is not the name of a type: expected package/{kind}/Type")
    try:
        return getattr(importlib.import_module(f"{parts[0]}.{kind}"), parts[2])
    except (ImportError, AttributeError) as error:
        raise UsageError(f"there is no type '{name}': {error}") from error


def read_values(text: str) -> dict[str, Any]:
    """A dictionary from YAML.

    Raises:
        UsageError: the text is no dictionary in YAML.
    """
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"the values are not YAML: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"the values have to be a dictionary such as '{{name: value}}', got '{text}'")
    return values


def fill(message: Any, values: Mapping[str, Any]) -> None:
    """Set fields of a message, at any depth.

    Raises:
        UsageError: there is no such field, or it cannot have the value.
    """
    types: dict[str, str] = message.get_fields_and_field_types()
    for name, value in values.items():
        if name not in types:
            known = ", ".join(types) or "none"
            raise UsageError(f"{type(message).__name__} has no field '{name}'; its fields: {known}")
        try:
            setattr(message, name, _converted(types[name], value))
        except (AssertionError, TypeError, ValueError) as error:
            raise UsageError(f"field '{name}' of {type(message).__name__}, a {types[name]}: {error}") from error


def to_yaml(message: Any) -> str:
    """The fields of a message, at any depth."""
    return yaml.safe_dump(_plain(message), sort_keys=False, allow_unicode=True, default_flow_style=None)


def _converted(field_type: str, value: Any) -> Any:
    sequence = re.fullmatch(r"sequence<(.+?)(?:, \d+)?>|(.+)\[\d+\]", field_type)
    if sequence:
        item_type = sequence[1] or sequence[2]
        return [_converted(item_type, item) for item in value]
    if "/" in field_type:
        part = load_type(field_type, "msg")()
        fill(part, value)
        return part
    if field_type in ("float", "double"):
        return float(value)
    if field_type == "octet":
        return bytes([value])
    expected = bool if field_type == "boolean" else str if "string" in field_type else int
    if type(value) is not expected:
        raise TypeError(f"expected a value of type {expected.__name__}, got {value!r}")
    return value


def _plain(value: Any) -> Any:
    if hasattr(value, "get_fields_and_field_types"):
        return {name: _plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if isinstance(value, (bool, int, float, str)):
        return value
    return [_plain(item) for item in (value.tolist() if hasattr(value, "tolist") else value)]
