"""Functions compiled by numba, kept on disk where there is a place for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from mbpl_control.core.validation import Array

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """`function` compiled at its first call, and read from the cache by later processes.

    numba keeps the cache beside the source, or in the user's cache directory when the source is read-only. Where
    neither can be written the function is compiled in each process anew: slower to start, and nothing else. The
    environment variable NUMBA_CACHE_DIR names another directory.

    The cache of a function notices changes of its own file alone: a compiled function calls only those beside it.
    """
    # here, so that what only prepares arrays does not load it
    import numba

    try:
        return cast(F, numba.njit(cache=True)(function))
    except RuntimeError:
        # numba's "no locator available": no directory for the cache
        return cast(F, numba.njit(function))


def plain(array: ArrayLike) -> Array:
    """`array` as compiled functions take it: double precision, row by row, writeable; a copy only if it is not.

    Each other kind of array would have its function compiled anew, in the middle of whatever calls it.
    """
    # what needs nothing done, which is most, costs a tenth of what `require` takes to see that
    if type(array) is np.ndarray and array.dtype == np.float64 and array.flags.carray:
        return array
    return np.require(array, np.float64, ("C_CONTIGUOUS", "WRITEABLE"))
