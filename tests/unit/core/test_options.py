"""Options by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.options import option_names, parse_options, with_options


@dataclass(frozen=True)
class Range:
    low: int = 0
    high: int = 1

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise InvalidFieldError("Range", "low", str(self.low), f"below {self.high}")


@dataclass(frozen=True)
class Tree:
    rate: float = 0.1
    count: int = 3
    wanted: bool = True
    kind: str = "a"
    sizes: tuple[int, ...] = (64, 64)
    newest: int | None = None
    other: Range | None = None
    range: Range = field(default_factory=Range)


def test_names_are_paths_of_what_has_no_options_of_its_own() -> None:
    assert list(option_names(Tree())) == [
        "rate",
        "count",
        "wanted",
        "kind",
        "sizes",
        "newest",
        "range.low",
        "range.high",
    ]
    assert "other.low" in option_names(Tree(other=Range()))


def test_those_named_are_changed_and_no_others() -> None:
    entries = ["rate=1e-3", "sizes=[32]", "wanted=false", "kind=b", "newest=500", "range.low=5", "range.high=9"]
    changed = with_options("learner", Tree(), parse_options("command", entries))
    assert changed == Tree(1e-3, 3, False, "b", (32,), 500, None, Range(5, 9))
    assert isinstance(with_options("learner", Tree(), {"rate": 1}).rate, float)
    assert with_options("learner", Tree(newest=5), {"newest": None}) == Tree()
    assert with_options("learner", Tree(), {}) == Tree()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rate", "fast", "learner.rate: found 'fast'; must be of type float"),
        ("rate", True, "rate: found True; must be of type float"),
        ("count", 1.5, "count: found 1.5; must be of type int"),
        ("count", None, "count: found None; must be of type int"),
        ("wanted", 1, "wanted: found 1; must be of type bool"),
        ("sizes", 3, r"sizes: found 3; must be of type tuple\[int, ...\]"),
        ("sizes", ["a"], "sizes: found"),
        ("newest", "all", "newest: found 'all'; must be of type int | None"),
        ("range.low", 7, "Range.low: found 7; must be below 1"),
        ("range", 7, "learner.option: found 'range'; must be one of rate, count"),
        ("rate.low", 7, "learner.option: found 'rate.low'; must be one of rate"),
        ("other.low", 7, "learner.option: found 'other.low'; must be one of rate"),
        ("nothing", 7, "learner.option: found 'nothing'; must be one of rate"),
        ("", 7, "learner.option: found ''; must be one of rate"),
    ],
)
def test_what_is_no_option_or_not_of_its_type_is_an_error_that_names_it(name: str, value: Any, words: str) -> None:
    with pytest.raises(InvalidFieldError, match=words):
        with_options("learner", Tree(), {name: value})


def test_what_has_no_effect_is_no_option() -> None:
    assert with_options("learner", Tree(), {"rate": 2.0}, without=("range", "rat")).rate == 2.0
    for name in ("range.low", "kind"):
        with pytest.raises(
            InvalidFieldError, match=f"found '{name}'; must be one of rate, count, wanted, sizes, newest$"
        ):
            with_options("learner", Tree(), {name: 1}, without=("range", "kind"))


@pytest.mark.parametrize("entry", ["rate", "=1", "rate=", "rate= "])
def test_an_entry_is_a_name_and_a_value(entry: str) -> None:
    with pytest.raises(InvalidFieldError, match=r"command.--option: found '.*'; must be NAME=VALUE"):
        parse_options("command", [entry])


def test_a_name_is_given_once_and_a_value_is_yaml() -> None:
    with pytest.raises(InvalidFieldError, match="--option: found rate twice; must be given once"):
        parse_options("command", ["rate=1", "rate=1"])
    with pytest.raises(InvalidFieldError, match="--option sizes: found '\\['; must be a value as in YAML"):
        parse_options("command", ["sizes=["])
    assert parse_options("command", ["a=x=y", "b=[1, 2.5]", "c=null"]) == {"a": "x=y", "b": [1, 2.5], "c": None}
