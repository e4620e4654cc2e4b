"""Odd inputs: messages with anything in their fields, sound ones with a few spoiled, files with bytes changed."""

from __future__ import annotations

import copy
import importlib
import random
import re
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

#: Numbers that break arithmetic which does not expect them.
NAN, INFINITY = float("nan"), float("inf")
NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-300, 5e-324, 1e18, -1e18, 1e154, 1e300, -1e308, NAN, INFINITY, -INFINITY)
WORDS = ("", "hold", "mean", "sampled", "linear_gaussian", "feedback_law", "effort", "stamp", "a b", "{}", "[1", "ä€😀")
_INTEGERS = {
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
}
_MANY = re.compile(r"(?:sequence<(?P<item>[^,]+)(?:, (?P<most>\d+))?>|(?P<fixed>.+)\[(?P<count>\d+)\])")

floats = st.one_of(st.sampled_from(NUMBERS), st.floats(-100.0, 100.0), st.floats())
#: Text without a slash: what is taken for a path stays below the directory it is relative to.
_LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
texts = st.one_of(st.sampled_from(WORDS), st.text(_LETTERS, max_size=12))


def message_class(name: str) -> type:
    """A class by its name in the graph, package/msg/Name, or as fields name it, package/Name."""
    package, *kind, own = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind[0] if kind else 'msg'}"), own)


def messages(kind: type, words: Sequence[str] = (), depth: int = 3) -> st.SearchStrategy[Any]:
    """A message with anything in its fields.

    Args:
        kind: of message, request or goal.
        words: that texts may be, beside nonsense.
        depth: of nested messages; below it they are as they are made.
    """
    if depth == 0:
        return st.builds(kind)
    fields = kind.get_fields_and_field_types()
    return st.builds(kind, **{name: field(type_name, words, depth) for name, type_name in fields.items()})


def field(type_name: str, words: Sequence[str], depth: int) -> st.SearchStrategy[Any]:
    """Anything that fits a field."""
    many = _MANY.fullmatch(type_name)
    if many is not None:
        item = field(many["item"] or many["fixed"], words, depth)
        if many["count"]:
            count = int(many["count"])
            return st.lists(item, min_size=count, max_size=count)
        if many["item"] in ("uint8", "octet"):
            return st.binary(max_size=8).map(list) if many["item"] == "uint8" else st.just([])
        return st.lists(item, max_size=min(int(many["most"] or 5), 5))
    if type_name == "boolean":
        return st.booleans()
    if type_name == "octet":
        return st.binary(min_size=1, max_size=1)
    if type_name in ("float", "double"):
        return floats if type_name == "double" else st.floats(width=32)
    if type_name.startswith(("string", "wstring")):
        return st.one_of(st.sampled_from([*words, ""]), texts)
    if type_name in _INTEGERS:
        low, high = _INTEGERS[type_name]
        return st.one_of(st.integers(max(low, -3), 5), st.sampled_from([low, high]), st.integers(low, high))
    return messages(message_class(type_name), words, depth - 1)


@st.composite
def spoiled(draw: Any, sound: Any, words: Sequence[str] = ()) -> Any:
    """A sound message with one to three of its fields, at any depth, changed."""
    message = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, 3))):
        _spoil(draw, message, words)
    return message


def _spoil(draw: Any, message: Any, words: Sequence[str]) -> None:
    fields = message.get_fields_and_field_types()
    name = draw(st.sampled_from(sorted(fields)))
    value = getattr(message, name)
    if hasattr(value, "get_fields_and_field_types"):
        _spoil(draw, value, words)
    elif len_of(value) and hasattr(value[0], "get_fields_and_field_types"):
        _spoil(draw, draw(st.sampled_from(list(value))), words)
    elif len_of(value) and draw(st.booleans()):
        # one entry, or one too few or too many
        items = list(value)
        place = draw(st.integers(0, len(items) - 1))
        what = draw(st.sampled_from(("replace", "drop", "repeat")))
        if what == "replace":
            number = draw(floats) if isinstance(items[0], float) else 0
            items[place] = draw(texts) if isinstance(items[0], str) else number
        elif what == "drop":
            del items[place]
        else:
            items.insert(place, items[place])
        setattr(message, name, items)
    else:
        setattr(message, name, draw(field(fields[name], words, 2)))


def len_of(value: Any) -> int:
    """Entries of a sequence field; 0 for anything else."""
    return len(value) if hasattr(value, "__len__") and not isinstance(value, (str, bytes)) else 0


_TOKENS = re.compile(rb"-?\d+\.?\d*(?:e-?\d+)?")
_INSTEAD = rb"nan .inf -1 0 1e400 1e-320 99999999999 true [] x - *a &a".split(b" ")


def spoil_bytes(content: bytes, seed: int) -> bytes:
    """A file's content with a few places changed: bytes, spans, numbers."""
    rng = random.Random(seed)
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        place = rng.randrange(len(data))
        span = rng.randint(1, 30)
        match rng.randrange(6):
            case 0:
                data[place] = rng.randrange(256)
            case 1:
                del data[place : place + span]
            case 2:
                data[place:place] = data[place : place + span]
            case 3:
                data[place:place] = rng.randbytes(span)
            case 4:
                del data[place:]
            case _:
                numbers = list(_TOKENS.finditer(data))
                if numbers:
                    chosen = rng.choice(numbers)
                    data[chosen.start() : chosen.end()] = rng.choice(_INSTEAD)
    return bytes(data)
