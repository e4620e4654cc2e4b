"""A request to switch that may wait for fresh states and laws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from mbpl_control.core.errors import RefusedError
from mbpl_control.runtime.acceptance import NotReadyError
from mbpl_control.runtime.manager import ManagerCore
from mbpl_control.runtime.switching import Strictness, SwitchPlan, plan_switch


@dataclass(frozen=True)
class SwitchRequest:
    """A request to switch.

    Attributes:
        activate: controllers that shall start.
        deactivate: controllers that shall end.
        strictness: see `Strictness`.
        asap: whether each controller starts as soon as it is ready, whatever the others lack; else all start between
            the same two ticks.
        timeout: s to wait for what a controller lacks.
    """

    activate: Sequence[str]
    deactivate: Sequence[str]
    strictness: Strictness
    asap: bool = False
    timeout: float = inf


class PendingSwitch:
    """Carries out a request as soon as it can be, within its time.

    Only what may still come is waited for: a state of the robot, a law, the end of a second publisher. Anything else
    that is wrong refuses the request at once.

    Args:
        core: the manager.
        request: what is asked for.
        steady_ns: when it was asked for.

    Attributes:
        waits_for: what is missing, in words; empty before the first try.
    """

    def __init__(self, core: ManagerCore, request: SwitchRequest, steady_ns: int) -> None:
        """Change nothing yet."""
        self._core, self._request, self._begin_ns = core, request, steady_ns
        self.waits_for = ""
        self._accounts: list[str] = []
        #: what is done controller by controller, and those of it that have not started yet
        self._plan = SwitchPlan((), ())
        self._left: list[str] = []

    def advance(self, steady_ns: int) -> str | None:
        """Try again; what was done, in words, or None while it waits.

        Raises:
            RefusedError: it cannot happen, or its time is over.
        """
        late = 1e-9 * (steady_ns - self._begin_ns) >= self._request.timeout
        return self._one_by_one(steady_ns, late) if self._request.asap else self._all_at_once(steady_ns, late)

    def _all_at_once(self, steady_ns: int, late: bool) -> str | None:
        r = self._request
        try:
            return self._core.switch(r.activate, r.deactivate, r.strictness, steady_ns, patient=not late)
        except NotReadyError as error:
            self._wait(error, late)
        return None

    def _one_by_one(self, steady_ns: int, late: bool) -> str | None:
        """Start those that are ready; a controller that shall end does so with the first that needs one of its joints.

        The whole request must make sense before any of it is carried out.
        """
        r, core = self._request, self._core
        if not self._accounts:
            self._plan = plan_switch(core.registry, core.claims, r.activate, r.deactivate, r.strictness)
            self._left = list(self._plan.activate)
            if len(self._left) < 2:
                return self._all_at_once(steady_ns, late)
        missing: NotReadyError | None = None
        for name in list(self._left):
            try:
                account = core.switch([name], self._ends_with(name), r.strictness, steady_ns, patient=True)
            except NotReadyError as error:
                missing = missing or error
            except RefusedError as error:
                raise RefusedError(f"{error}{self._done()}") from error
            else:
                self._accounts.append(account)
                self._left.remove(name)
        if missing is None or (late and self._accounts and r.strictness is Strictness.BEST_EFFORT):
            left_out = [*self._plan.left_out, *([] if missing is None else [str(missing)])]
            return "; ".join([*self._accounts, *(f"left out: {reason}" for reason in left_out)])
        self._wait(missing, late)
        return None

    def _wait(self, error: NotReadyError, late: bool) -> None:
        self.waits_for = str(error)
        if not late:
            return
        waited = f"; waited {self._request.timeout:g} s for it" if self._request.timeout > 0.0 else ""
        raise RefusedError(f"{error}{waited}{self._done()}") from error

    def _done(self) -> str:
        return f"; done before that: {'; '.join(self._accounts)}" if self._accounts else ""

    def _ends_with(self, name: str) -> list[str]:
        """Which of the controllers that shall end do so when `name` starts: those in its way, or in nobody's."""
        registry, claims = self._core.registry, self._core.claims

        def in_way_of(starting: str, ending: str) -> bool:
            one, other = claims.of_entry(registry.get(starting)), claims.of_entry(registry.get(ending))
            return starting == ending or one is None or other is None or one.overlaps(other)

        active = [n for n in self._plan.deactivate if registry.get(n).state == "active"]
        return [n for n in active if in_way_of(name, n) or not any(in_way_of(other, n) for other in self._left)]
