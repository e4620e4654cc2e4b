"""A kernel: the straight-line code of a graph, as the text of functions over rows of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.validation import Array
from mbpl_control.models.codegen.expression import ADD, INPUT, NEGATE, SUBTRACT, Expression, Graph
from mbpl_control.models.codegen.pieces import Piece, cut
from mbpl_control.models.codegen.spatial import Symbols

#: Numbers of a row, one for each lane. A row is an odd number of cache lines, so that rows do not meet in the cache.
STRIDE = 56
#: An expression this long gets a name of its own, however often it is used.
LONGEST = 160


@dataclass(frozen=True)
class Kernel:
    """Functions that work on one flat array x of rows, `STRIDE` numbers each; lane i of row r is x[r STRIDE + i].

    Attributes:
        name: of the function that does it all; those of its pieces are numbered.
        inputs: rows of each input, which the caller fills.
        outputs: rows of each output. What is equal shares a row.
        rows: how many rows x has.
        source: text of the functions. They use `lanes`, `floor` and the decorators `piece` and `whole`.
        pieces: how many functions the work is split into.
        operations: additions, multiplications, divisions and roundings of one lane.
    """

    name: str
    inputs: Mapping[str, NDArray[np.int64]]
    outputs: Mapping[str, NDArray[np.int64]]
    rows: int
    source: str
    pieces: int
    operations: int

    def evaluate(self, **inputs: Array) -> dict[str, Array]:
        """Run the same source on arrays of numpy, nothing compiled. Each input (B, ...) → each output (B, ...)."""
        count = len(next(iter(inputs.values())))
        x = np.full((self.rows, STRIDE), np.nan)
        out = {name: np.empty((count, *rows.shape)) for name, rows in self.outputs.items()}
        namespace: dict[str, Any] = {"floor": np.floor, "piece": _as_is, "whole": _as_is}
        namespace["lanes"] = lambda n: (np.arange(n),)
        exec(compile(self.source, self.name, "exec"), namespace)  # noqa: S102 - text of our own
        for begin in range(0, count, STRIDE):
            part = slice(begin, min(begin + STRIDE, count))
            n = part.stop - begin
            for name, rows in self.inputs.items():
                x[rows, :n] = np.moveaxis(np.asarray(inputs[name], dtype=np.float64)[part], 0, -1)
            namespace[self.name](x.reshape(-1), n)
            for name, rows in self.outputs.items():
                out[name][part] = np.moveaxis(x[rows, :n], -1, 0)
        return out


def generate(name: str, inputs: Mapping[str, Symbols], outputs: Mapping[str, Symbols], shared: bool = True) -> Kernel:
    """The kernel that computes arrays of expressions from arrays of inputs.

    Args:
        name: of the kernel's function.
        inputs: arrays of inputs of one graph, by name.
        outputs: arrays of expressions and numbers, by name.
        shared: whether outputs that are equal share a row; if not, the caller may write into them.
    """
    row_of: dict[int, int] = {}
    input_rows = {}
    count = 0
    for key, array in inputs.items():
        input_rows[key] = count + np.arange(array.size, dtype=np.int64).reshape(array.shape)
        for symbol in array.flat:
            row_of[symbol.number] = count
            count += 1
    #: rows that are filled with a number, or with what another row has
    fixed: dict[int, float | int] = {}
    constants: dict[float, int] = {}
    output_rows = {}
    wanted: dict[int, Expression] = {}
    for key, array in outputs.items():
        rows = np.empty(array.shape, dtype=np.int64)
        for index, value in np.ndenumerate(array):
            known: dict[Any, int] = row_of if isinstance(value, Expression) else constants
            identity: Any = value.number if isinstance(value, Expression) else float(value)
            again = identity in known
            if again and shared:
                rows[index] = known[identity]
                continue
            rows[index] = count
            if not isinstance(value, Expression):
                fixed[count] = identity
            elif again:
                fixed[count] = known[identity]
            elif value.operation != INPUT:
                wanted[value.number] = value
            known.setdefault(identity, count)
            count += 1
        output_rows[key] = rows
    pieces = cut(list(wanted.values()))
    writer = _Writer(name, row_of, count)
    texts = [writer.piece(number, piece) for number, piece in enumerate(pieces)]
    texts.append(writer.whole(len(pieces), fixed))
    operations = sum(sum(node.operation != NEGATE for node in piece.nodes) for piece in pieces)
    return Kernel(name, input_rows, output_rows, writer.rows, "\n\n".join(texts), len(pieces), operations)


class _Writer:
    """Writes pieces one after another, and knows which rows are free."""

    def __init__(self, name: str, row_of: dict[int, int], rows: int) -> None:
        self.name, self.rows = name, rows
        self._row_of = row_of
        #: rows that hold inputs or outputs are never given away
        self._kept = set(row_of)
        self._free: list[int] = []

    def piece(self, number: int, piece: Piece) -> str:
        """Text of one function, which reads its arguments from rows and stores what others need."""
        for node in piece.stores:
            if node.number not in self._row_of:
                self._row_of[node.number] = self._free.pop() if self._free else self.rows
                self.rows = max(self.rows, self._row_of[node.number] + 1)
        lines = [
            "@piece",
            f"def {self.name}_{number}(x, n):",
            f"    for i in lanes(min(n, {STRIDE})):",
        ]
        stored = {node.number for node in piece.stores}
        inside = {node.number for node in piece.nodes}
        text: dict[int, str] = {}
        names = 0
        for node in piece.nodes:
            arguments = []
            for argument in node.arguments:
                if not isinstance(argument, Expression):
                    arguments.append(repr(float(argument)))
                    continue
                if argument.number not in text:
                    assert argument.number not in inside  # noqa: S101 - arguments come first
                    name = argument.arguments[0] if argument.operation == INPUT else f"r{self._row_of[argument.number]}"
                    lines.append(f"        {name} = {self._at(argument)}")
                    text[argument.number] = name
                arguments.append(text[argument.number])
            written = _written(node.operation, arguments)
            if node.number in stored:
                lines.append(f"        t{names} = {_bare(written)}")
                lines.append(f"        {self._at(node)} = t{names}")
            elif piece.uses[node.number] == 1 and len(written) <= LONGEST:
                text[node.number] = written
                continue
            else:
                lines.append(f"        t{names} = {_bare(written)}")
            text[node.number] = f"t{names}"
            names += 1
        self._free += [self._row_of[n] for n in piece.ends if n not in self._kept]
        return "\n".join(lines)

    def whole(self, count: int, fixed: Mapping[int, float | int]) -> str:
        """Text of the function that calls all pieces in turn, and fills rows with numbers and with other rows."""
        lines = ["@whole", f"def {self.name}(x, n):"]
        lines += [f"    {self.name}_{number}(x, n)" for number in range(count)]
        if fixed:
            lines.append(f"    for i in lanes(min(n, {STRIDE})):")
        for row, value in fixed.items():
            source = f"x[i + {value * STRIDE}]" if isinstance(value, int) else repr(value)
            lines.append(f"        x[i + {row * STRIDE}] = {source}")
        return "\n".join(lines)

    def _at(self, node: Expression) -> str:
        return f"x[i + {self._row_of[node.number] * STRIDE}]"


def _written(operation: str, arguments: list[str]) -> str:
    if operation == NEGATE:
        return f"(-{arguments[0]})"
    if len(arguments) == 1:
        return f"{operation}({_bare(arguments[0])})"
    if operation == ADD and arguments[1].startswith("-"):
        operation, arguments = SUBTRACT, [arguments[0], arguments[1][1:]]
    return f"({f' {operation} '.join(arguments)})"


def _bare(text: str) -> str:
    """Without the brackets around it."""
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text


def _as_is(function: Any) -> Any:
    return function


def input_vector(graph: Graph, name: str, count: int) -> Symbols:
    """Inputs name_0, name_1, … as a vector."""
    return np.array([graph.input(f"{name}_{i}") for i in range(count)], dtype=object)
