"""Options by name: one of a tree of frozen dataclasses, changed by its path, e.g. "ensemble.learning_rate"."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_choice

T = TypeVar("T")


def parse_options(owner: str, entries: Sequence[str]) -> dict[str, Any]:
    """Values by name of entries NAME=VALUE, each VALUE read as YAML.

    Args:
        owner: who was given them, for the message.
        entries: as typed.

    Raises:
        InvalidFieldError: one is not of that form, or a name is given twice.
    """
    found: dict[str, Any] = {}
    for entry in entries:
        name, given, text = entry.partition("=")
        if not given or not name or not text.strip():
            raise InvalidFieldError(owner, "--option", repr(entry), "NAME=VALUE")
        if name in found:
            raise InvalidFieldError(owner, "--option", f"{name} twice", "given once")
        try:
            found[name] = YAML(typ="safe").load(text)
        except YAMLError as error:
            raise InvalidFieldError(owner, f"--option {name}", repr(text), "a value as in YAML") from error
    return found


def with_options(owner: str, options: T, changes: Mapping[str, Any], without: Sequence[str] = ()) -> T:
    """The options with those named changed, each checked by type and by the dataclass it belongs to.

    Args:
        owner: whose they are, for the message.
        options: a frozen dataclass, with others inside.
        changes: values by path, of numbers, texts, lists and None.
        without: options that have no effect here, each with all below it.

    Raises:
        InvalidFieldError: no option has that name, or the value is not of its type or out of its range.
    """
    names = [name for name in option_names(options) if not any(f"{name}.".startswith(f"{part}.") for part in without)]
    for name in changes:
        check_choice(owner, "option", name, names)
    return _with(owner, "", options, changes)


def option_names(options: Any) -> Iterator[str]:
    """Paths of all options, in the order in which they stand; one that has options of its own is not among them."""
    kinds = typing.get_type_hints(type(options))
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            yield from (f"{field.name}.{name}" for name in option_names(value))
        elif not any(dataclasses.is_dataclass(kind) for kind in typing.get_args(kinds[field.name])):
            yield field.name


def _with(owner: str, path: str, options: T, changes: Mapping[str, Any]) -> T:
    """Changes of names that there are."""
    grouped: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        head, _, rest = name.partition(".")
        grouped.setdefault(head, {})[rest] = value
    kinds = typing.get_type_hints(type(options))
    new = {
        head: _checked(owner, f"{path}{head}", kinds[head], inner[""])
        if "" in inner
        else _with(owner, f"{path}{head}.", getattr(options, head), inner)
        for head, inner in grouped.items()
    }
    # all of a dataclass at once: what is allowed of one may depend on another
    return dataclasses.replace(options, **new)  # type: ignore[type-var]


def _checked(owner: str, name: str, kind: Any, value: Any) -> Any:
    try:
        # as from JSON: lists may be tuples, and nothing else is taken for what it is not
        return TypeAdapter(kind).validate_json(json.dumps(value), strict=True)
    except (ValidationError, TypeError, ValueError) as error:
        what = kind.__name__ if typing.get_origin(kind) is None else str(kind)
        raise InvalidFieldError(owner, name, repr(value), f"of type {what}") from error
