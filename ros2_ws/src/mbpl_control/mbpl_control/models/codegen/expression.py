"""Arithmetic that is written down instead of done: the graph a kernel is generated from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: What the algorithms compute with: numbers they know now, and expressions known only when the kernel runs.
Scalar = Any

#: Operations a kernel consists of, with the number of their arguments.
ADD, SUBTRACT, MULTIPLY, DIVIDE, NEGATE, FLOOR = "+", "-", "*", "/", "neg", "floor"
INPUT = "input"


class Graph:
    """Expressions, each kept once: asking for one that exists returns it (common subexpressions are shared)."""

    def __init__(self) -> None:
        """Start empty."""
        self._known: dict[tuple[Any, ...], Expression] = {}

    def input(self, name: str) -> Expression:
        """A number that is known when the kernel runs."""
        return self.node(INPUT, name)

    def node(self, operation: str, *arguments: Any) -> Expression:
        """The expression of an operation on expressions and numbers, as it stands: nothing is simplified here."""
        key = (operation, *(("e", a.number) if isinstance(a, Expression) else a for a in arguments))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Expression(self, len(self._known), operation, arguments)
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Expression:
    """One operation of a graph. Its operators make further ones, with what is known of zeros, ones and signs put in.

    Attributes:
        graph: that it belongs to.
        number: in the order of creation; arguments come before what is made of them.
        operation: one of this module's.
        arguments: expressions or numbers; the name of an input.
    """

    graph: Graph = field(repr=False)
    number: int
    operation: str
    arguments: tuple[Any, ...] = field(repr=False)

    def __add__(self, other: Scalar) -> Scalar:
        """Sum."""
        return add(self, other)

    def __radd__(self, other: Scalar) -> Scalar:
        """Sum."""
        return add(other, self)

    def __sub__(self, other: Scalar) -> Scalar:
        """Difference."""
        return add(self, -other)

    def __rsub__(self, other: Scalar) -> Scalar:
        """Difference."""
        return add(other, negate(self))

    def __mul__(self, other: Scalar) -> Scalar:
        """Product."""
        return multiply(self, other)

    def __rmul__(self, other: Scalar) -> Scalar:
        """Product."""
        return multiply(self, other)

    def __truediv__(self, other: Scalar) -> Scalar:
        """Quotient."""
        return divide(self, other)

    def __rtruediv__(self, other: Scalar) -> Scalar:
        """Quotient."""
        return divide(other, self)

    def __neg__(self) -> Scalar:
        """The negative."""
        return negate(self)


def add(a: Scalar, b: Scalar) -> Scalar:
    """a + b; a difference where one of the two is a negative."""
    if not isinstance(a, Expression):
        a, b = b, a
    if not isinstance(a, Expression):
        return a + b
    if not isinstance(b, Expression):
        if b == 0.0:
            return a
        return _negated(a).graph.node(SUBTRACT, b, _negated(a)) if _is_negative(a) else a.graph.node(ADD, a, b)
    if _is_negative(a):
        a, b = b, a
    if _is_negative(b):
        inner = _negated(b)
        if inner is a:
            return 0.0
        if _is_negative(a):
            return negate(add(_negated(a), inner))
        return a.graph.node(SUBTRACT, a, inner)
    if a.number > b.number:
        a, b = b, a
    return a.graph.node(ADD, a, b)


def multiply(a: Scalar, b: Scalar) -> Scalar:
    """a b; signs move outwards, and factors that are known meet."""
    if not isinstance(a, Expression):
        a, b = b, a
    if not isinstance(a, Expression):
        return a * b
    if not isinstance(b, Expression):
        if b == 0.0:
            return 0.0
        if b < 0.0:
            return negate(multiply(a, -b))
        if b == 1.0:
            return a
        if _is_negative(a):
            return negate(multiply(_negated(a), b))
        if a.operation == MULTIPLY and not isinstance(a.arguments[1], Expression):
            return multiply(a.arguments[0], a.arguments[1] * b)
        return a.graph.node(MULTIPLY, a, float(b))
    if _is_negative(a):
        return negate(multiply(_negated(a), b))
    if _is_negative(b):
        return negate(multiply(a, _negated(b)))
    if a.number > b.number:
        a, b = b, a
    return a.graph.node(MULTIPLY, a, b)


def divide(a: Scalar, b: Scalar) -> Scalar:
    """a / b."""
    if not isinstance(b, Expression):
        return multiply(a, 1.0 / b)
    if not isinstance(a, Expression) and a == 0.0:
        return 0.0
    return b.graph.node(DIVIDE, a, b)


def negate(a: Scalar) -> Scalar:
    """−a; of a difference, the opposite one."""
    if not isinstance(a, Expression):
        return -a
    if _is_negative(a):
        return _negated(a)
    if a.operation == SUBTRACT:
        return add(a.arguments[1], -a.arguments[0])
    return a.graph.node(NEGATE, a)


def floor(a: Expression) -> Expression:
    """The largest whole number that is not above a."""
    return a.graph.node(FLOOR, a)


def _is_negative(a: Expression) -> bool:
    return a.operation == NEGATE


def _negated(a: Expression) -> Expression:
    inner: Expression = a.arguments[0]
    return inner
