"""What a request to switch amounts to, before anything changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import combinations

from mbpl_control.core.errors import RefusedError
from mbpl_control.runtime.claims import Claims
from mbpl_control.runtime.registry import ControllerEntry, Registry


class Strictness(IntEnum):
    """What becomes of a request to switch that is not right in every part; numbers as in `SwitchController`."""

    #: leaves out what is wrong, and says so.
    BEST_EFFORT = 1
    #: all of the request, or nothing.
    STRICT = 2
    #: as strict: controllers are not chained here, so there is nothing to add by itself.
    AUTO = 3
    #: all that is asked to start starts, whatever has to end for that, or nothing changes.
    FORCE_AUTO = 4


@dataclass(frozen=True)
class SwitchPlan:
    """A switch that may be carried out.

    Attributes:
        activate: the controllers that take over.
        deactivate: controllers that end.
        left_out: what of the request cannot be done, in words.
    """

    activate: tuple[str, ...]
    deactivate: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        """What will be done and what was left out, in words."""
        ends = [f"'{n}' inactive" for n in self.deactivate if n not in self.activate]
        account = "; ".join([f"'{n}' active" for n in self.activate] + ends)
        return account + ("; left out: " + "; ".join(self.left_out) if self.left_out else "")


def plan_switch(
    registry: Registry,
    claims: Claims,
    activate: Sequence[str],
    deactivate: Sequence[str],
    strictness: Strictness,
    left_out: Collection[str] = (),
) -> SwitchPlan:
    """Check a request against the registry: each joint has one controller at most.

    Args:
        registry: the controllers there are.
        claims: on the joints of the robot.
        activate: names of those that shall start.
        deactivate: names of those that shall end; one that is in both lists begins anew.
        strictness: with `FORCE_AUTO` the active controllers need not be known to whoever asks: those that claim a joint
            of one that starts end, and one that shall end and has ended already is no error.
        left_out: what was found wrong with the request before, in words.

    Raises:
        RefusedError: the request cannot be carried out.
    """
    wrong = _Complaints(strictness, left_out)
    starts: list[ControllerEntry] = []
    for entry in wrong.known(registry, activate):
        if entry.state == "active" and entry.name not in deactivate:
            wrong(f"'{entry.name}' is active already")
        elif entry not in starts:
            starts.append(entry)
    ends: list[str] = []
    for entry in wrong.known(registry, deactivate):
        if entry.state == "active":
            ends.append(entry.name)
        elif strictness is not Strictness.FORCE_AUTO:
            wrong(f"'{entry.name}' is not active but {entry.state}")
    for one, other in combinations(starts, 2):
        if shared := _shared(claims, one, other):
            raise RefusedError(
                f"'{one.name}' and '{other.name}' both claim {shared}; only one of them can be active at a time"
            )
    for start in starts:
        for entry in registry:
            if entry.state != "active" or entry.name in ends or entry is start:
                continue
            if shared := _shared(claims, start, entry):
                if strictness is not Strictness.FORCE_AUTO:
                    wrong(
                        f"'{entry.name}' is active and claims {shared}, as '{start.name}' does; "
                        "deactivate it in the same request"
                    )
                ends.append(entry.name)
    if not starts and not ends:
        raise RefusedError("nothing to switch" + (": " + "; ".join(wrong.said) if wrong.said else ""))
    return SwitchPlan(tuple(e.name for e in starts), tuple(ends), tuple(wrong.said))


class _Complaints:
    """What is wrong with a request: kept for the account by best effort, else the end of it."""

    def __init__(self, strictness: Strictness, said: Collection[str]) -> None:
        self._strictness = strictness
        self.said = list(said)

    def __call__(self, reason: str) -> None:
        if self._strictness is not Strictness.BEST_EFFORT:
            raise RefusedError(reason)
        self.said.append(reason)

    def known(self, registry: Registry, names: Sequence[str]) -> list[ControllerEntry]:
        """Entries of the names that are known."""
        entries = []
        for name in names:
            try:
                entries.append(registry.get(name))
            except RefusedError as error:
                self(str(error))
        return entries


def _shared(claims: Claims, one: ControllerEntry, other: ControllerEntry) -> str:
    """The joints two controllers claim, in words; empty when there are none, or not known before a law has come."""
    mine, theirs = claims.of_entry(one), claims.of_entry(other)
    if mine is None or theirs is None:
        return ""
    joints = claims.shared(mine, theirs)
    if len(joints) == len(claims.all.joints):
        return "the same joints"
    return f"joint{'s' if len(joints) > 1 else ''} {', '.join(joints)}" if joints else ""
