"""Checks shared by the core types; each failure is an `InvalidFieldError` naming the field."""

from __future__ import annotations

import copyreg
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.refusal import Refusal

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: A covariance may have eigenvalues this far below zero, relative to its largest entry, by rounding.
PSD_TOLERANCE = 1e-9


def _read_only(mapping: dict[str, Any]) -> MappingProxyType[str, Any]:
    return MappingProxyType(mapping)


# Python cannot pickle a read-only mapping by itself, and laws and trials, which hold one, travel between processes.
copyreg.pickle(MappingProxyType, lambda proxy: (_read_only, (dict(proxy),)))


def float_array(owner: str, field: str, value: ArrayLike, shape: Sequence[int | None]) -> Array:
    """`value` as a read-only C-contiguous float64 array of the given shape, finite throughout.

    Args:
        owner: type the field belongs to, for the message.
        field: name of the field, for the message.
        value: what was given.
        shape: expected shape; None for a dimension of any size.

    Raises:
        InvalidFieldError: not numeric, another shape, or a number that is not finite.
    """
    try:
        array = np.array(value, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise InvalidFieldError(owner, field, repr(value)[:80], "an array of numbers", Refusal.SHAPE) from error
    wanted = tuple("any" if size is None else size for size in shape)
    matches = array.ndim == len(shape) and all(
        size is None or size == have for size, have in zip(shape, array.shape, strict=True)
    )
    if not matches:
        raise InvalidFieldError(owner, field, f"shape {array.shape}", f"of shape {wanted}", Refusal.SHAPE)
    check_finite(owner, field, array)
    array.setflags(write=False)
    return array


def check_finite(owner: str, field: str, array: Array) -> None:
    """Raise `InvalidFieldError` naming the first entry that is NaN or infinite."""
    if not np.isfinite(array).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InvalidFieldError(owner, field, f"{array[first]} at index {first}", "finite", Refusal.NOT_FINITE)


def check_covariances(owner: str, field: str, covariances: Array) -> None:
    """Raise `InvalidFieldError` unless each (..., k, k) matrix is symmetric and positive semidefinite."""
    if not covariances.any():
        return
    transposed = np.swapaxes(covariances, -1, -2)
    scale = np.maximum(np.abs(covariances).max(axis=(-1, -2)), np.finfo(float).tiny)
    asymmetry = np.abs(covariances - transposed).max(axis=(-1, -2)) / scale
    if (asymmetry > PSD_TOLERANCE).any():
        index = _first(asymmetry > PSD_TOLERANCE)
        raise InvalidFieldError(owner, field, f"an asymmetric matrix at step {index}", "symmetric", Refusal.COVARIANCE)
    smallest = np.linalg.eigvalsh(0.5 * (covariances + transposed))[..., 0]
    bad = smallest < -PSD_TOLERANCE * scale
    if bad.any():
        index = _first(bad)
        raise InvalidFieldError(
            owner,
            field,
            f"smallest eigenvalue {smallest[index]:.3g} at step {index}",
            "positive semidefinite",
            Refusal.COVARIANCE,
        )


def check_positive(owner: str, field: str, value: float, unit: str = "") -> float:
    """`value` as a float; raise `InvalidFieldError` unless it is finite and above zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise InvalidFieldError(owner, field, repr(value), "a number above 0")
    if not np.isfinite(value) or value <= 0.0:
        raise InvalidFieldError(owner, field, f"{value} {unit}".rstrip(), "finite and above 0")
    return float(value)


def check_whole(owner: str, field: str, value: Any, low: int, high: int) -> int:
    """`value` as an int; raise `InvalidFieldError` unless it is a whole number in low .. high."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise InvalidFieldError(owner, field, repr(value), f"a whole number in {low} .. {high}")
    return int(value)


def check_choice(owner: str, field: str, value: str, allowed: Sequence[str]) -> str:
    """`value`; raise `InvalidFieldError` unless it is one of `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidFieldError(owner, field, repr(value), "one of " + ", ".join(allowed))
    return value


def _first(mask: NDArray[np.bool_]) -> int | tuple[int, ...]:
    index = tuple(int(i) for i in np.argwhere(mask)[0]) if mask.ndim else ()
    return index[0] if len(index) == 1 else index


def check_metadata(owner: str, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """`metadata` as a read-only mapping that JSON carries without loss.

    Raises:
        InvalidFieldError: a key is not text, or a value is not JSON data of finite numbers.
    """
    if not isinstance(metadata, Mapping):
        raise InvalidFieldError(owner, "metadata", repr(metadata)[:80], "a mapping")
    for key in metadata:
        if not isinstance(key, str):
            raise InvalidFieldError(owner, "metadata", f"the key {key!r}", "keyed by text")
    try:
        copy = json.loads(json.dumps(dict(metadata), allow_nan=False))
    except (TypeError, ValueError) as error:
        allowed = "text, finite numbers, booleans, and lists or objects of them"
        raise InvalidFieldError(owner, "metadata", str(error), allowed) from error
    return MappingProxyType(copy)
