"""Which laws a controller may take, how long they count, and whether it may start."""

from __future__ import annotations

from dataclasses import dataclass

from mbpl_control.core import ActionDefinition, FeedbackLaw, LinearGaussianController, StateDefinition
from mbpl_control.core.errors import RefusedError
from mbpl_control.core.refusal import Refusal
from mbpl_control.runtime.claims import Claims
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.registry import AcceptedLaw, ControllerEntry
from mbpl_control.safety.law_checks import check_definitions, check_gains, check_order


class NotReadyError(RefusedError):
    """A controller cannot start yet: what it lacks may still come."""


@dataclass(frozen=True)
class Offer:
    """A law as its source sends it.

    Attributes:
        law: a whole horizon, or one knot.
        sequence: given by its source; it grows.
        arrived_ns: on the steady clock.
        stamp_ns: when it was made, on the robot's clock; 0 when it does not say.
        valid_from_ns: stamp at which step 0 starts, for a law anchored at a stamp.
        valid_until_ns: stamp after which it no longer counts; 0 for the end of its horizon.
        step: of the horizon a knot comes from, −1 when it has none.
    """

    law: LinearGaussianController | FeedbackLaw
    sequence: int
    arrived_ns: int
    stamp_ns: int = 0
    valid_from_ns: int = 0
    valid_until_ns: int = 0
    step: int = -1


class Acceptance:
    """Checks laws against the robot, and their age against the time-out of streams.

    Args:
        state: what the robot's state is.
        action: what it is commanded by, with its limits.
        config: bounds and times.

    Attributes:
        claims: on the robot's joints.
    """

    def __init__(self, state: StateDefinition, action: ActionDefinition, config: ManagerConfig) -> None:
        """Keep what laws are held against."""
        self._state, self._config = state, config
        self.claims = Claims(action)

    def judge(self, entry: ControllerEntry, offer: Offer, now_ns: int) -> AcceptedLaw:
        """The law, when a controller may take it.

        Args:
            entry: the controller.
            offer: the law.
            now_ns: the robot's clock; 0 before its first state, when stamps cannot be judged.

        Raises:
            RefusedError: it is of another type, out of order, from the future, too old, over, or its numbers are too
                large.
            DefinitionMismatchError: it is for another robot, or for other joints than the controller's.
        """
        law = offer.law
        wanted = {"linear_gaussian": LinearGaussianController, "feedback_law": FeedbackLaw}.get(entry.type)
        if wanted is None or not isinstance(law, wanted):
            text = f"a {type(law).__name__} is no law of '{entry.name}', which is of type {entry.type}"
            raise RefusedError(text, refusal=Refusal.TYPE)
        action = self._action(entry, law)
        selection = check_definitions(law, self._state, action)
        slack = round(1e9 * self._config.future_slack)
        # where states wait for their laws, a law may come before its state, and acts on no other
        early = self._config.law_wait > 0.0 and isinstance(law, FeedbackLaw)
        clock = offer.stamp_ns if early or not now_ns else now_ns
        check_order(offer.sequence, entry.sequence, offer.stamp_ns, clock, slack)
        if offer.valid_until_ns and now_ns > offer.valid_until_ns:
            over = 1e-9 * (now_ns - offer.valid_until_ns)
            raise RefusedError(f"its validity is over since {over:.3f} s", refusal=Refusal.AGE)
        gains, plan = (
            (law.gain, law.nominal_action) if isinstance(law, FeedbackLaw) else (law.gains, law.planned_actions)
        )
        check_gains(gains, plan, self._config.max_gain, action, self._config.max_planned_action)
        accepted = AcceptedLaw(
            law,
            selection,
            offer.sequence,
            offer.arrived_ns,
            offer.stamp_ns,
            offer.valid_from_ns,
            offer.valid_until_ns,
            offer.step,
        )
        if now_ns:
            self.check_age(entry.name, accepted, offer.arrived_ns, now_ns)
        return accepted

    def _action(self, entry: ControllerEntry, law: LinearGaussianController | FeedbackLaw) -> ActionDefinition:
        """What the actions of a law must be: those of the joints its controller has, or of any it names itself.

        A controller that commands keeps its joints.
        """
        claim = self.claims.of(law.action.joint_names)
        held = self.claims.of_entry(entry) if entry.joints or entry.state == "active" else claim
        if claim != held and held is not None:
            raise RefusedError(
                f"it is for joints {', '.join(claim.joints)}; those of '{entry.name}' are {', '.join(held.joints)}",
                refusal=Refusal.JOINTS,
            )
        assert claim.action is not None  # noqa: S101 - a claim of a law is never empty
        return claim.action

    def check_age(self, name: str, law: AcceptedLaw, steady_ns: int, now_ns: int) -> None:
        """Refuse the law of a stream that is too old: by its arrival, or by its stamp if it has one.

        Raises:
            RefusedError: naming the age and the limit.
        """
        if not law.streams:
            return
        limit = self._config.law_timeout
        silent = 1e-9 * (steady_ns - law.arrived_ns)
        if silent > limit:
            text = f"no law of '{name}' for {silent:.3f} s; at most {limit:.3f} s is allowed"
            raise RefusedError(text, refusal=Refusal.AGE)
        old = 1e-9 * (now_ns - law.stamp_ns)
        if law.stamp_ns and old > limit:
            text = f"the law of '{name}' was made {old:.3f} s ago; at most {limit:.3f} s is allowed"
            raise RefusedError(text, refusal=Refusal.AGE)

    def check_ready(self, entry: ControllerEntry, state_age: float, steady_ns: int, now_ns: int) -> None:
        """Refuse to start a controller without a fresh state and, unless it is a hold, a fresh law of a sound source.

        Args:
            entry: the controller.
            state_age: s since the newest state arrived; −1 when none did.
            steady_ns: now.
            now_ns: the robot's clock.

        Raises:
            NotReadyError: saying what is missing.
        """
        cannot = f"'{entry.name}' cannot start"
        limit = self._config.state_timeout
        if state_age < 0.0:
            raise NotReadyError(f"{cannot}: no state of the robot has arrived yet")
        if state_age > limit:
            raise NotReadyError(
                f"{cannot}: the newest state is {state_age:.3f} s old; at most {limit:.3f} s is allowed"
            )
        if entry.type == "hold":
            return
        if entry.trouble:
            raise NotReadyError(f"{cannot}: {entry.trouble}")
        if entry.law is None:
            where = f" on {entry.source}" if entry.source else ""
            why = f" ({entry.reason})" if entry.reason else ""
            raise NotReadyError(f"{cannot}: '{entry.name}' has no law yet: none was accepted{where}{why}")
        try:
            self.check_age(entry.name, entry.law, steady_ns, now_ns)
        except RefusedError as error:
            raise NotReadyError(f"{cannot}: {error}") from error
