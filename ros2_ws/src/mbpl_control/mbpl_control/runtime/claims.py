"""Which joints a controller drives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from mbpl_control.core import ActionDefinition
from mbpl_control.core.errors import DefinitionMismatchError
from mbpl_control.core.refusal import Refusal
from mbpl_control.core.validation import Indices
from mbpl_control.runtime.registry import ControllerEntry


@dataclass(frozen=True)
class Claim:
    """Actuators that belong together, by their places in the robot's command.

    Attributes:
        places: of the actuators in u, ascending.
        action: what their part of u is; None for no actuators.
        pick: takes their part out of u; a slice that copies nothing for all of u.
    """

    places: tuple[int, ...]
    action: ActionDefinition | None = field(compare=False)
    pick: slice | Indices = field(compare=False)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.places)

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the joints they drive."""
        return () if self.action is None else self.action.joint_names

    def overlaps(self, other: Claim) -> bool:
        """Whether they have an actuator in common."""
        return not set(self.places).isdisjoint(other.places)

    def within(self, other: Claim) -> bool:
        """Whether the other one has all of these."""
        return set(self.places) <= set(other.places)


class Claims:
    """Claims on the actuators of a robot.

    Args:
        action: of the robot.
    """

    def __init__(self, action: ActionDefinition) -> None:
        """Keep what is claimed."""
        self._action = action
        self.all = self._of_places(range(action.size))

    def of(self, joints: Sequence[str]) -> Claim:
        """The actuators that drive these joints.

        Raises:
            DefinitionMismatchError: there is no such joint, none is named, or they are in another order than the
                robot's.
        """
        known = self._action.joint_names
        places = [i for i, joint in enumerate(known) if joint in joints]
        found = [j for i, j in enumerate(known) if i in places]
        if not places or list(dict.fromkeys(found)) != list(dict.fromkeys(joints)):
            raise DefinitionMismatchError(
                f"joints are {', '.join(joints) or 'none'}; must be some of this robot's in their order: "
                + ", ".join(known),
                refusal=Refusal.JOINTS,
            )
        return self._of_places(places)

    def of_entry(self, entry: ControllerEntry) -> Claim | None:
        """What a controller claims: the joints it was described with, or those of its law; None before that is known.

        A hold that names no joints holds all of them.
        """
        if entry.joints:
            return self.of(entry.joints)
        if entry.type == "hold":
            return self.all
        return None if entry.law is None else self.of(entry.law.law.action.joint_names)

    def shared(self, one: Claim, other: Claim) -> tuple[str, ...]:
        """Joints both claim."""
        return self._of_places(set(one.places) & set(other.places)).joints

    def rest(self, claim: Claim, taken: Sequence[Claim]) -> Claim:
        """What is left of a claim when others take theirs."""
        gone = {i for other in taken for i in other.places}
        return claim if gone.isdisjoint(claim.places) else self._of_places(set(claim.places) - gone)

    def _of_places(self, places: Collection[int]) -> Claim:
        ordered = tuple(sorted(places))
        if not ordered:
            return Claim((), None, slice(0))
        if len(ordered) == self._action.size:
            return Claim(ordered, self._action, slice(None))
        a, pick = self._action, np.array(ordered, dtype=np.intp)
        action = ActionDefinition(
            tuple(a.actuator_names[i] for i in ordered),
            tuple(a.joint_names[i] for i in ordered),
            a.interface,
            tuple(a.units[i] for i in ordered),
            a.lower[pick],
            a.upper[pick],
        )
        return Claim(ordered, action, pick)
