"""Generated straight-line functions for numba, past its type inference: they consist of numbers alone.

numba would look up, type and lower each of ten thousand operations in Python, which takes minutes. Their language is
so small that it is translated to LLVM directly; numba then calls, optimises, compiles and caches what came out as it
does with its own.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_DOUBLE, _INDEX = ir.DoubleType(), ir.IntType(64)
#: A product and a sum may be rounded once. Nothing else of the arithmetic may change: NaN stays NaN.
_FLAGS = ("contract",)


class StraightLines:
    """The straight-line functions of a file: each f(x, n) loops over lanes, or calls others of them.

    A loop's body assigns sums, differences, products, quotients, negatives and `floor` of names, numbers and x[i + C].

    Args:
        path: the file; it is not read before something must be compiled.
    """

    def __init__(self, path: str) -> None:
        """Remember the file."""
        self._path = Path(path)
        self._functions: dict[str, ast.FunctionDef] = {}

    def for_numba(self, function: Callable[[Any, int], None]) -> Any:
        """What compiled functions call in place of `function`."""
        name = function.__name__

        @intrinsic
        def call(typing_context: Any, x: Any, n: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                array = context.make_array(signature.args[0])(context, builder, arguments[0])
                builder.call(self._define(builder.module, name), [array.data, arguments[1]])
                return context.get_dummy_value()

            return types.void(x, types.int64), generate

        return call

    def _define(self, module: ir.Module, name: str) -> ir.Function:
        """The function in an LLVM module, and those that it calls."""
        if not self._functions:
            body = ast.parse(self._path.read_text(encoding="utf-8")).body
            self._functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
        known = f"mbpl.{name}"
        if known in module.globals:
            return module.globals[known]
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_DOUBLE.as_pointer(), _INDEX]), known)
        function.linkage = "internal"
        # each is optimised by itself: all in one would take far longer
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block())
        for statement in self._functions[name].body:
            if isinstance(statement, ast.For):
                _loop(builder, function, statement)
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                assert isinstance(statement.value.func, ast.Name)  # noqa: S101 - the language
                builder.call(self._define(module, statement.value.func.id), function.args)
        builder.ret_void()
        return function


def _loop(builder: ir.IRBuilder, function: ir.Function, loop: ast.For) -> None:
    """For i in lanes(min(n, C)): the body for each lane."""
    x, n = function.args
    limit = ir.Constant(_INDEX, _integer(loop.iter.args[0].args[1]))  # type: ignore[attr-defined]
    fewer = builder.icmp_signed("<", n, limit)
    count = builder.select(fewer, n, limit)
    before = builder.block
    body, end = function.append_basic_block(), function.append_basic_block()
    zero = ir.Constant(_INDEX, 0)
    builder.cbranch(builder.icmp_signed(">", count, zero), body, end)
    builder.position_at_end(body)
    lane = builder.phi(_INDEX)
    lane.add_incoming(zero, before)
    _Body(builder, builder.gep(x, [lane], inbounds=True, source_etype=_DOUBLE)).run(loop.body)
    following = builder.add(lane, ir.Constant(_INDEX, 1), flags=("nsw", "nuw"))
    lane.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), body, end)
    builder.position_at_end(end)


class _Body:
    """The statements of one lane; `lane` points to its number in the first row."""

    def __init__(self, builder: ir.IRBuilder, lane: Any) -> None:
        self._builder, self._lane = builder, lane
        self._known: dict[str, Any] = {}

    def run(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            assert isinstance(statement, ast.Assign)  # noqa: S101 - the language
            target, value = statement.targets[0], self._value(statement.value)
            if isinstance(target, ast.Name):
                self._known[target.id] = value
            else:
                self._builder.store(value, self._address(target))

    def _value(self, node: ast.expr) -> Any:
        builder = self._builder
        match node:
            case ast.Constant():
                return ir.Constant(_DOUBLE, float(node.value))  # type: ignore[arg-type]
            case ast.Name():
                return self._known[node.id]
            case ast.Subscript():
                return builder.load(self._address(node), typ=_DOUBLE)
            case ast.UnaryOp():
                return builder.fneg(self._value(node.operand))
            case ast.Call():
                floor = builder.module.declare_intrinsic("llvm.floor", [_DOUBLE])
                return builder.call(floor, [self._value(node.args[0])])
            case ast.BinOp():
                make = {ast.Add: builder.fadd, ast.Sub: builder.fsub, ast.Mult: builder.fmul, ast.Div: builder.fdiv}
                return make[type(node.op)](self._value(node.left), self._value(node.right), flags=_FLAGS)
        raise AssertionError(ast.dump(node))

    def _address(self, node: ast.expr) -> Any:
        """Of x[i + C]."""
        assert isinstance(node, ast.Subscript)  # noqa: S101 - the language
        offset = ir.Constant(_INDEX, _integer(node.slice.right))  # type: ignore[attr-defined]
        return self._builder.gep(self._lane, [offset], inbounds=True, source_etype=_DOUBLE)


def _integer(node: ast.expr) -> int:
    assert isinstance(node, ast.Constant)  # noqa: S101 - the language
    return int(node.value)  # type: ignore[arg-type]
