"""What a request to switch amounts to, before anything changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbpl_control.core.errors import RefusedError
from mbpl_control.runtime.registry import Registry


@dataclass(frozen=True)
class SwitchPlan:
    """A switch that may be carried out.

    Attributes:
        activate: the controller that takes over; None when none does.
        deactivate: controllers that end.
        account: what will be done and what was left out, in words.
    """

    activate: str | None
    deactivate: tuple[str, ...]
    account: str


def plan_switch(
    registry: Registry, activate: Sequence[str], deactivate: Sequence[str], strict: bool
) -> SwitchPlan:
    """Check a request against the registry.

    One controller drives all joints, so at most one can be active. `strict` refuses a request with anything wrong in it;
    best effort leaves the wrong parts out and says so.

    Raises:
        RefusedError: the request cannot be carried out.
    """
    left_out: list[str] = []

    def wrong(reason: str) -> None:
        if strict:
            raise RefusedError(reason)
        left_out.append(reason)

    starts: list[str] = []
    for name in activate:
        try:
            entry = registry.get(name)
        except RefusedError as error:
            wrong(str(error))
            continue
        if name in starts:
            continue
        if entry.state == "active" and name not in deactivate:
            wrong(f"'{name}' is active already")
            continue
        starts.append(name)
    ends: list[str] = []
    for name in deactivate:
        try:
            entry = registry.get(name)
        except RefusedError as error:
            wrong(str(error))
            continue
        if entry.state != "active":
            wrong(f"'{name}' is not active but {entry.state}")
            continue
        ends.append(name)
    if len(starts) > 1:
        raise RefusedError(
            f"{' and '.join(starts)} claim the same joints; only one controller can be active"
        )
    others = [e.name for e in registry if e.state == "active" and e.name not in ends]
    if starts and others:
        wrong(f"'{others[0]}' is active and claims the same joints; deactivate it in the same request")
        ends += others
    if not starts and not ends:
        raise RefusedError("nothing to switch" + (": " + "; ".join(left_out) if left_out else ""))
    account = "; ".join(
        [f"'{n}' active" for n in starts] + [f"'{n}' inactive" for n in ends if n not in starts]
    )
    if left_out:
        account += "; left out: " + "; ".join(left_out)
    return SwitchPlan(starts[0] if starts else None, tuple(ends), account)
