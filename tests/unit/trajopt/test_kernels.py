"""The compiled functions: cached so that no stale one is ever loaded, and fed so that none is compiled twice."""

from __future__ import annotations

import ast
from pathlib import Path

import numba
import numpy as np
import pytest

from mbpl_control.core.compiled import compiled, plain
from mbpl_control.trajopt import riccati_kernels, solve_lqr


def package_files(repository: Path) -> list[Path]:
    return sorted((repository / "ros2_ws/src/mbpl_control/mbpl_control").rglob("*.py"))


def kernels_of(file: Path) -> set[str]:
    """Names of a file's functions that are compiled."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(d, ast.Name) and d.id == "compiled" for d in node.decorator_list)
    }


def test_a_compiled_function_calls_only_those_of_its_own_file(repository: Path) -> None:
    """The cache of a function notices changes of its own file, not of the files it calls into."""
    kernels = {file: kernels_of(file) for file in package_files(repository)}
    everywhere = set().union(*kernels.values())
    assert {"box_qp", "collect"} <= everywhere
    for file, own in kernels.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name in own:
                called = {c.func.id for c in ast.walk(node) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)}
                assert called & everywhere <= own, f"{file.name}: {node.name}"


def test_arrays_that_may_not_be_written_do_not_make_a_kernel_compile_again() -> None:
    kernel = riccati_kernels.recursion
    arrays = [np.ones((3, 1, 1)) for _ in range(2)]
    solve_lqr(arrays[0], arrays[1], np.ones((4, 1, 1)), np.ones((3, 1, 1)))
    before = len(kernel.signatures)
    for array in arrays:
        array.setflags(write=False)
    solve_lqr(*arrays, np.ones((4, 1, 1)), np.ones((3, 1, 1)), np.ones((1, 1, 3)).T)
    assert len(kernel.signatures) == before


@pytest.mark.parametrize(
    "array", [np.ones((2, 3)).T, np.ones((4, 4))[::2], np.ones(3, dtype=np.float32), np.ones(3, dtype=int), [1.0, 2.0]]
)
def test_plain_arrays_are_written_row_by_row_in_double_precision(array: object) -> None:
    result = plain(array)
    assert result.dtype == np.float64
    assert result.flags.c_contiguous
    assert result.flags.writeable
    np.testing.assert_array_equal(result, array)


def test_what_is_plain_already_is_not_copied() -> None:
    array = np.ones((2, 3))
    assert plain(array) is array


def test_where_nothing_can_be_cached_functions_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def without_cache(*arguments: object, **options: object) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'double': no locator available for file 'somewhere'")
        return njit(*arguments, **options)

    monkeypatch.setattr(
        numba, "njit", lambda *a, **o: (lambda f: without_cache(f, **o)) if not a else without_cache(*a, **o)
    )

    @compiled
    def double(x: float) -> float:
        return 2.0 * x

    assert double(3.0) == 6.0
    assert double.signatures  # type: ignore[attr-defined]
