"""The page about the command line, held against the command line."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from pages import code, codes, tables

from mbpl_control.cli.main import app

PAGE = "commands.md"


def flat(commands: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Commands by what is typed, those of groups among them."""
    out: dict[str, Any] = {}
    for name, command in commands.items():
        inner = getattr(command, "commands", None)
        out |= {before + name: command} if inner is None else flat(inner, f"{before}{name} ")
    return out


COMMANDS = flat(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_of_a_command_is_on_the_page_with_its_default_and_no_other_is(name: str) -> None:
    told = {}
    for row in tables(PAGE, name):
        told[tuple(codes(next(iter(row.values()))))] = row["default"]
    offered = {names_of(parameter): default_of(parameter) for parameter in COMMANDS[name].params}
    assert set(told) == set(offered)
    for names, default in offered.items():
        if default is None:
            # nothing, or what the command finds by itself: in words
            assert told[names] not in ("", "required"), names
        else:
            assert code(told[names]) == default, names


def names_of(parameter: Any) -> tuple[str, ...]:
    """How it is typed."""
    if parameter.param_type_name == "argument":
        return (parameter.name.upper(),)
    return (*parameter.opts, *parameter.secondary_opts)


def default_of(parameter: Any) -> str | None:
    """The default as the page writes it; None where there is none."""
    if parameter.required:
        return "required"
    if isinstance(parameter.default, bool):
        return "on" if parameter.default else "off"
    return None if parameter.default in (None, "") else str(parameter.default)
