"""One root for every error that is raised on purpose."""

from __future__ import annotations

import inspect
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from mbpl_control.core import InvalidFieldError, MbplError, errors
from mbpl_control.core.hashing import content_hash
from mbpl_control.core.refusal import Refusal


def test_every_error_has_one_root() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert len(kinds) > 5
    assert all(issubclass(kind, MbplError) for kind in kinds)


def test_an_invalid_field_carries_its_parts() -> None:
    with pytest.raises(MbplError) as caught:
        raise InvalidFieldError("Law", "gains", "shape (3,)", "of shape (4,)")
    error = caught.value
    assert isinstance(error, InvalidFieldError)
    assert (error.owner, error.field, error.found, error.allowed) == ("Law", "gains", "shape (3,)", "of shape (4,)")
    assert str(error) == "Law.gains: found shape (3,); must be of shape (4,)"


def invalid() -> None:
    raise InvalidFieldError("Law", "gains", "shape (3,)", "of shape (4,)", Refusal.DEFINITION)


def test_an_invalid_field_comes_whole_out_of_another_process() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        error = pool.submit(invalid).exception(timeout=60.0)
    assert isinstance(error, InvalidFieldError)
    assert (error.owner, error.field, error.found, error.allowed) == ("Law", "gains", "shape (3,)", "of shape (4,)")
    assert str(error) == "Law.gains: found shape (3,); must be of shape (4,)"
    assert error.refusal is Refusal.DEFINITION


def test_a_content_hash_depends_on_content_alone() -> None:
    assert content_hash({"a": 1.0, "b": [True, None, "ü"]}) == content_hash({"b": [True, None, "ü"], "a": 1.0})
    assert content_hash({"a": 0.1}) != content_hash({"a": 0.1 + 2e-17 + 1e-16})
    # SHA-256 of "[]"
    assert content_hash([]) == "4f53cda18c2baa0c"
