"""A long straight line of operations, cut where little has to be carried across."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mbpl_control.models.codegen.expression import INPUT, Expression

#: Values a piece may store. A loop that stores many more is not vectorised: the compiler gives up on showing that its
#: stores and loads do not meet.
MOST_STORES = 80
#: Operations of a piece, at least and at most, as far as stores allow.
SHORTEST, LONGEST = 250, 500


@dataclass(frozen=True)
class Piece:
    """Operations done in one loop over the lanes.

    Attributes:
        nodes: in order.
        stores: those of them that later pieces or the caller read.
        uses: how often each is an argument within the piece, by number.
        ends: numbers of values of earlier pieces that no later one reads.
    """

    nodes: list[Expression]
    stores: list[Expression]
    uses: Counter[int]
    ends: list[int]


def in_order(wanted: Sequence[Expression]) -> list[Expression]:
    """All operations that lead to what is wanted, arguments first, in the order in which they were written."""
    found: dict[int, Expression] = {}
    stack = list(wanted)
    while stack:
        node = stack.pop()
        if node.number in found or node.operation == INPUT:
            continue
        found[node.number] = node
        stack += [a for a in node.arguments if isinstance(a, Expression)]
    return [found[number] for number in sorted(found)]


def cut(wanted: Sequence[Expression]) -> list[Piece]:
    """Pieces that together compute what is wanted, each with few values to store."""
    order = in_order(wanted)
    place = {node.number: k for k, node in enumerate(order)}
    last_use = dict.fromkeys(place, -1)
    for k, node in enumerate(order):
        for argument in node.arguments:
            if isinstance(argument, Expression) and argument.operation != INPUT:
                last_use[argument.number] = k
    for node in wanted:
        last_use[node.number] = len(order)
    pieces = []
    begin = 0
    while begin < len(order):
        end = _end(order, last_use, begin)
        nodes = order[begin:end]
        stores = [node for node in nodes if last_use[node.number] >= end]
        uses = Counter(a.number for node in nodes for a in node.arguments if isinstance(a, Expression))
        ends = [number for number in uses if place.get(number, begin) < begin and last_use[number] < end]
        pieces.append(Piece(nodes, stores, uses, ends))
        begin = end
    return pieces


def _end(order: Sequence[Expression], last_use: dict[int, int], begin: int) -> int:
    """Where the piece that begins at `begin` ends: the fewest stores among the ends that are allowed."""
    best, fewest = begin + 1, 0
    ends_at: Counter[int] = Counter()
    stores = 0
    for end in range(begin + 1, min(begin + LONGEST, len(order)) + 1):
        # the value made last must be stored, and those need not be any more that nothing after `end` reads
        stores += 1 - ends_at[end - 1]
        ends_at[last_use[order[end - 1].number]] += 1
        if stores <= MOST_STORES and (end - begin <= SHORTEST or stores <= fewest):
            best, fewest = end, stores
    return best
