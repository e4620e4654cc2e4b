"""What the numbers of a state vector mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.errors import DefinitionMismatchError, InvalidFieldError
from mbpl_control.core.hashing import content_hash
from mbpl_control.core.state_space import SPACE_SIZES, StateSpace

#: Kinds of blocks a state may be made of.
BLOCK_KINDS = (
    "joint_positions",
    "joint_velocities",
    "frame_position",
    "frame_velocity",
    "frame_offset",
    "target",
    "observation",
)


@dataclass(frozen=True)
class StateBlock:
    """One named block of the state, e.g. the positions of all joints.

    Attributes:
        kind: one of `BLOCK_KINDS`.
        names: a name per coordinate: joint names, or "tip.x", "tip.y", "tip.z" for a frame.
        spaces: a space per coordinate, see `StateSpace`.
        units: a unit per coordinate, "rad", "rad/s", "m", "m/s" or "1".
    """

    kind: str
    names: tuple[str, ...]
    spaces: tuple[str, ...]
    units: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check lengths, kinds and names."""
        for name in ("names", "spaces", "units"):
            object.__setattr__(self, name, tuple(str(v) for v in getattr(self, name)))
        if self.kind not in BLOCK_KINDS:
            allowed = "one of " + ", ".join(BLOCK_KINDS)
            raise InvalidFieldError("StateBlock", "kind", repr(self.kind), allowed)
        count = len(self.names)
        if count == 0 or len(set(self.names)) != count:
            raise InvalidFieldError("StateBlock", "names", repr(self.names), "distinct, at least 1")
        for name in ("spaces", "units"):
            have = len(getattr(self, name))
            if have != count:
                raise InvalidFieldError("StateBlock", name, f"{have} entries", f"of {count} names")
        for space in self.spaces:
            if space not in SPACE_SIZES:
                allowed = "one of " + ", ".join(SPACE_SIZES)
                raise InvalidFieldError("StateBlock", "spaces", repr(space), allowed)

    @property
    def size(self) -> int:
        """Numbers of this block in the state."""
        return sum(SPACE_SIZES[space][0] for space in self.spaces)

    @property
    def tangent_size(self) -> int:
        """Numbers of this block in the tangent space."""
        return sum(SPACE_SIZES[space][1] for space in self.spaces)


@dataclass(frozen=True)
class StateDefinition:
    """An ordered list of blocks: what x is. It travels with every law, dynamics, trial and checkpoint.

    Attributes:
        blocks: the blocks, in the order of x.
    """

    blocks: tuple[StateBlock, ...]
    _slices: dict[tuple[str, str], slice] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check that no coordinate comes twice."""
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not self.blocks:
            raise InvalidFieldError("StateDefinition", "blocks", "none", "at least 1")
        slices: dict[tuple[str, str], slice] = {}
        start = 0
        for block in self.blocks:
            for name, space in zip(block.names, block.spaces, strict=True):
                key = (block.kind, name)
                if key in slices:
                    raise InvalidFieldError("StateDefinition", "blocks", f"{block.kind} of '{name}' twice", "distinct")
                slices[key] = slice(start, start + SPACE_SIZES[space][0])
                start += SPACE_SIZES[space][0]
        object.__setattr__(self, "_slices", slices)

    @cached_property
    def space(self) -> StateSpace:
        """The space x lives in."""
        return StateSpace([space for block in self.blocks for space in block.spaces])

    @property
    def size(self) -> int:
        """Numbers in a state, nx."""
        return self.space.size

    @property
    def tangent_size(self) -> int:
        """Numbers in a difference of states, ndx."""
        return self.space.tangent_size

    @cached_property
    def hash(self) -> str:
        """Hash of the blocks; equal hashes mean equal definitions."""
        return content_hash(self.to_dict())

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names in the `joint_positions` blocks, in order."""
        return tuple(n for b in self.blocks if b.kind == "joint_positions" for n in b.names)

    def labels(self) -> tuple[str, ...]:
        """One label per number of x, e.g. "joint_positions/elbow [rad]"."""
        labels: list[str] = []
        for block in self.blocks:
            for name, space, unit in zip(block.names, block.spaces, block.units, strict=True):
                stem = f"{block.kind}/{name}"
                parts = [f"{stem}.{c}" for c in "wxyz"] if space == "quaternion" else [stem]
                labels.extend(f"{part} [{unit}]" for part in parts)
        return tuple(labels)

    def indices(self, kind: str, names: Sequence[str] | None = None) -> NDArray[np.intp]:
        """Indices into x of the blocks of `kind`, restricted to `names` and in their order if given.

        Raises:
            DefinitionMismatchError: this state has no such coordinate.
        """
        wanted = names
        if wanted is None:
            wanted = [n for b in self.blocks if b.kind == kind for n in b.names]
        out: list[int] = []
        for name in wanted:
            if (kind, name) not in self._slices:
                have = ", ".join(f"{k} of '{n}'" for k, n in self._slices)
                raise DefinitionMismatchError(f"the state has no {kind} of '{name}'; it consists of: {have}")
            part = self._slices[kind, name]
            out.extend(range(part.start, part.stop))
        return np.array(out, dtype=np.intp)

    def selection_from(self, other: StateDefinition) -> NDArray[np.intp]:
        """Indices such that `x_self = x_other[indices]`.

        Raises:
            DefinitionMismatchError: `other` lacks a coordinate, or has it in another space or unit.
        """
        theirs = {(b.kind, n): (s, u) for b in other.blocks for n, s, u in zip(b.names, b.spaces, b.units, strict=True)}
        out: list[NDArray[np.intp]] = []
        for block in self.blocks:
            for name, space, unit in zip(block.names, block.spaces, block.units, strict=True):
                have = theirs.get((block.kind, name))
                if have is None:
                    raise DefinitionMismatchError(
                        f"the law needs {block.kind} of '{name}', which the state {other.hash} does not hold"
                    )
                if have != (space, unit):
                    raise DefinitionMismatchError(
                        f"{block.kind} of '{name}' is {space} in {unit} for the law, but "
                        f"{have[0]} in {have[1]} in the state"
                    )
                out.append(other.indices(block.kind, [name]))
        return np.concatenate(out)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "blocks": [
                {
                    "kind": b.kind,
                    "names": list(b.names),
                    "spaces": list(b.spaces),
                    "units": list(b.units),
                }
                for b in self.blocks
            ]
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StateDefinition:
        """Inverse of `to_dict`.

        Raises:
            InvalidFieldError: the data do not describe a definition.
        """
        try:
            blocks = tuple(
                StateBlock(b["kind"], tuple(b["names"]), tuple(b["spaces"]), tuple(b["units"])) for b in data["blocks"]
            )
        except (KeyError, TypeError) as error:
            raise InvalidFieldError(
                "StateDefinition", "blocks", repr(data)[:80], "blocks of kind, names, spaces, units"
            ) from error
        return cls(blocks)


def joint_state_definition(
    joint_names: Sequence[str],
    position_spaces: Sequence[str] | None = None,
    prismatic: Sequence[bool] | None = None,
) -> StateDefinition:
    """The usual state of an arm: positions, then velocities, of one-number joints.

    Args:
        joint_names: the joints.
        position_spaces: a space per joint; euclidean when not given.
        prismatic: whether each joint is a slide (m) rather than a hinge (rad); hinges when not given.
    """
    names = tuple(joint_names)
    spaces = tuple(position_spaces) if position_spaces is not None else ("euclidean",) * len(names)
    slides = tuple(prismatic) if prismatic is not None else (False,) * len(names)
    units = tuple("m" if slide else "rad" for slide in slides)
    return StateDefinition(
        (
            StateBlock("joint_positions", names, spaces, units),
            StateBlock(
                "joint_velocities",
                names,
                ("euclidean",) * len(names),
                tuple(f"{unit}/s" for unit in units),
            ),
        )
    )
