"""What the numbers of an action vector mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.hashing import content_hash
from mbpl_control.core.validation import Array, check_choice

INTERFACES = ("effort", "velocity", "position")


@dataclass(frozen=True, eq=False)
class ActionDefinition:
    """Actuators, what they take, and their limits: what u is.

    Attributes:
        actuator_names: a name per number of u.
        joint_names: the joint each actuator drives.
        interface: "effort", "velocity" or "position".
        units: a unit per actuator, e.g. "N*m".
        lower: (m,) limits in that unit; −inf where there is none.
        upper: (m,) limits; +inf where there is none.
    """

    actuator_names: tuple[str, ...]
    joint_names: tuple[str, ...]
    interface: str
    units: tuple[str, ...]
    lower: Array
    upper: Array

    def __post_init__(self) -> None:
        """Check lengths, names and that limits are a range."""
        owner = "ActionDefinition"
        check_choice(owner, "interface", self.interface, INTERFACES)
        for name in ("actuator_names", "joint_names", "units"):
            object.__setattr__(self, name, tuple(str(v) for v in getattr(self, name)))
        count = len(self.actuator_names)
        if count == 0 or len(set(self.actuator_names)) != count:
            found = repr(self.actuator_names)
            raise InvalidFieldError(owner, "actuator_names", found, "distinct, at least 1")
        for name in ("joint_names", "units"):
            have = len(getattr(self, name))
            if have != count:
                raise InvalidFieldError(owner, name, f"{have} entries", f"{count}, one an actuator")
        for name in ("lower", "upper"):
            try:
                limit = np.array(getattr(self, name), dtype=np.float64)
            except (TypeError, ValueError) as error:
                found = repr(getattr(self, name))[:80]
                raise InvalidFieldError(owner, name, found, "an array of numbers") from error
            if limit.shape != (count,):
                raise InvalidFieldError(owner, name, f"shape {limit.shape}", f"of shape ({count},)")
            if np.isnan(limit).any():
                raise InvalidFieldError(owner, name, "NaN", "a number, or infinite for no limit")
            limit.setflags(write=False)
            object.__setattr__(self, name, limit)
        bad = np.flatnonzero(~(self.lower < self.upper))
        if bad.size:
            i = int(bad[0])
            raise InvalidFieldError(
                owner,
                "lower",
                f"{self.lower[i]} for '{self.actuator_names[i]}'",
                f"below upper, {self.upper[i]}",
            )

    def __eq__(self, other: object) -> bool:
        """Equal content."""
        return isinstance(other, ActionDefinition) and self.hash == other.hash

    def __hash__(self) -> int:
        """Hash of the content."""
        return hash(self.hash)

    @property
    def size(self) -> int:
        """The number of actions, m."""
        return len(self.actuator_names)

    @cached_property
    def hash(self) -> str:
        """Hash of the content; equal hashes mean equal definitions."""
        return content_hash(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; a limit that is not there is None."""
        return {
            "actuator_names": list(self.actuator_names),
            "joint_names": list(self.joint_names),
            "interface": self.interface,
            "units": list(self.units),
            "lower": [float(v) if np.isfinite(v) else None for v in self.lower],
            "upper": [float(v) if np.isfinite(v) else None for v in self.upper],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ActionDefinition:
        """Inverse of `to_dict`.

        Raises:
            InvalidFieldError: the data do not describe a definition.
        """
        try:
            return cls(
                tuple(data["actuator_names"]),
                tuple(data["joint_names"]),
                data["interface"],
                tuple(data["units"]),
                np.array([-np.inf if v is None else v for v in data["lower"]], dtype=np.float64),
                np.array([np.inf if v is None else v for v in data["upper"]], dtype=np.float64),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidFieldError(
                "ActionDefinition", "data", repr(data)[:80], "the fields of an ActionDefinition"
            ) from error
