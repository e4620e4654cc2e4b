"""Which law drives which joint: laws in, switching, falling back, stopping."""

from __future__ import annotations

from collections.abc import Sequence

from mbpl_control.core import FeedbackLaw, LinearGaussianController, StateDefinition
from mbpl_control.core.errors import MbplError, RefusedError
from mbpl_control.runtime.acceptance import Acceptance, NotReadyError, Offer
from mbpl_control.runtime.blend import Blend
from mbpl_control.runtime.command import Counters
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.hold import HoldGains
from mbpl_control.runtime.law_in_force import LawInForce
from mbpl_control.runtime.law_maker import LawMaker
from mbpl_control.runtime.law_wait import LawWait
from mbpl_control.runtime.registry import EMERGENCY_STOP, FALLBACK, HELD, ControllerEntry, Registry
from mbpl_control.runtime.states import StateRecord
from mbpl_control.runtime.switching import Strictness, SwitchPlan, plan_switch
from mbpl_control.safety.jumps import JumpCheck
from mbpl_control.tasks.task import Task


class Arbiter:
    """Decides which law drives which joint. It has no clock: every entry point is told the time.

    Each joint is driven by one law in force: that of a controller which claims it, or a hold. What goes wrong with a
    controller costs it its own joints; what goes wrong with the robot's states costs all.

    Modes: `idle` (nothing was activated, nothing is commanded), `active` (a controller commands), `fallback` (none
    does, after something went wrong or a horizon ended; one may have stepped in), `zero`, `emergency_stop`. All times
    named steady come from a clock that never jumps; stamps are the robot's own clock, in which laws count.

    Args:
        task: robot, action.
        config: see `ManagerConfig`.
        state: what x of the samples is; the task's own when None.

    Attributes:
        mode: one of the modes.
        reason: why it is in this mode, in words.
        registry: the controllers.
        claims: on the robot's joints.
        counters: what has happened so far.
        laws: makes the laws of controllers; its `next_seed` is that of the next activation.
    """

    def __init__(self, task: Task, config: ManagerConfig | None = None, state: StateDefinition | None = None) -> None:
        """Start idle, with the built-in controller `hold`."""
        self.task, self.robot = task, task.robot
        self.config = ManagerConfig() if config is None else config
        self.state = task.state if state is None else state
        self.action = task.action
        start = task.conditions[0].state[: task.robot.nq]
        self.registry = Registry()
        self.registry.add(ControllerEntry("hold", "hold", built_in=True))
        self.counters = Counters()
        self.mode, self.reason = "idle", "no controller was activated yet"
        self._acceptance = Acceptance(self.state, self.action, self.config)
        self.claims = self._acceptance.claims
        gains = HoldGains(task.robot, start, self.config.hold_frequency)
        self.laws = LawMaker(task.robot, gains, self.claims, self.config)
        jumps = JumpCheck(task, self.config.jump_margin, self.config.jump_speed_factor)
        self._states = StateRecord(jumps, self.config.state_timeout)
        #: what drives the joints, each once, in their order; nothing while idle
        self._forces: list[LawInForce] = []
        #: what commands are signed with, and the law whose steps they count
        self._signature = ""
        self._lead: LawInForce | None = None
        self._blend = Blend(self.action.size)
        self._wait = LawWait(task.dt, self.config.law_wait)
        self._answered = False
        self._switched = False
        self._fallback_since_ns = 0

    @property
    def forces(self) -> tuple[LawInForce, ...]:
        """What drives the joints, each once, in their order; nothing while idle."""
        return tuple(self._forces)

    @property
    def active_controllers(self) -> tuple[str, ...]:
        """Names of the controllers that command, also of those that stepped in for one that failed."""
        return tuple(f.name for f in self._forces if f.is_controller)

    @property
    def active_controller(self) -> str:
        """The first of them; empty when there is none."""
        return next(iter(self.active_controllers), "")

    @property
    def step(self) -> int:
        """Step of the first active law, −1 when it has none."""
        return self._lead.executor.step if self._lead is not None else -1

    @property
    def stamp_ns(self) -> int:
        """The robot's clock: stamp of the newest state."""
        return self._states.stamp_ns

    def state_age(self, steady_ns: int) -> float:
        """Seconds since the newest state arrived; −1 when none did."""
        return self._states.age(steady_ns)

    # --- laws and their sources ---

    def on_law(
        self,
        name: str,
        law: LinearGaussianController | FeedbackLaw,
        sequence: int,
        steady_ns: int,
        stamp_ns: int = 0,
        valid_from_ns: int = 0,
        valid_until_ns: int = 0,
        step: int = -1,
    ) -> None:
        """Accept a law for controller `name`; what the numbers are, see `Offer`.

        Raises:
            RefusedError, DefinitionMismatchError: it fails a check; the controller keeps the law it had.
        """
        entry = self.registry.get(name)
        offer = Offer(law, sequence, steady_ns, stamp_ns, valid_from_ns, valid_until_ns, step)
        try:
            accepted = self._acceptance.judge(entry, offer, self.stamp_ns)
        except MbplError as error:
            self.refuse(name, error)
            raise
        entry.law, entry.sequence, entry.reason = accepted, sequence, ""
        if entry.state == "unconfigured":
            entry.state = "inactive"
        self.counters.laws_accepted += 1
        force = self._force_of(name)
        # where states wait for laws, a law is taken when its state comes
        if force is not None and force.rng is not None and accepted.streams and not self._wait.applies(force):
            self._replace(force, [force.successor(self.laws.executor(entry, force.rng), accepted)])

    def refuse(self, name: str, error: MbplError) -> None:
        """Count a law that was not accepted, and keep the reason."""
        self.counters.laws_refused[error.refusal] += 1
        self.counters.last_refusal = f"{name}: {error}"
        if name in self.registry:
            self.registry.get(name).reason = f"law refused: {error}"

    def refuse_state(self, error: MbplError) -> None:
        """Count a state that was not accepted, and keep the reason."""
        self.counters.states_refused[error.refusal] += 1
        self.counters.last_refusal = f"state: {error}"

    def on_source_restarted(self, source: str) -> None:
        """Another process sends the laws of a source from now on: its numbers begin anew."""
        for entry in self.registry:
            if entry.source == source:
                entry.sequence = None

    def on_publishers(self, source: str, count: int, names: Sequence[str], steady_ns: int) -> None:
        """So many publishers of a source live now; more than one cost its controllers the robot, and none a stream.

        A whole horizon that counts from its activation needs nobody any more.

        Args:
            source: the topic.
            count: of its publishers.
            names: of their nodes, as far as they are known.
            steady_ns: now.
        """
        told = f"{count} publishers of {source} ({', '.join(names)}); one may" if count > 1 else ""
        for entry in self.registry:
            if entry.source != source:
                continue
            entry.trouble = told
            force = self._force_of(entry.name)
            if force is None:
                continue
            if told:
                self._fall_back_from(force, told, steady_ns)
            elif not count and entry.streams:
                self._fall_back_from(force, f"nobody publishes {source} any more", steady_ns)

    def _force_of(self, name: str) -> LawInForce | None:
        return next((f for f in self._forces if f.name == name), None)

    # --- switching ---

    def switch(
        self,
        activate: Sequence[str],
        deactivate: Sequence[str],
        strictness: Strictness,
        steady_ns: int,
        patient: bool = False,
    ) -> str:
        """Change which controllers are active; from the next tick on the new ones command.

        Args:
            activate: controllers that shall start.
            deactivate: controllers that shall end.
            strictness: see `Strictness`.
            steady_ns: now.
            patient: whether a controller that is not ready is an error even for best effort, since it may be later.

        Returns:
            What was done, in words.

        Raises:
            NotReadyError: a controller lacks what may still come.
            RefusedError: it cannot happen. In either case nothing has changed.
        """
        if self.mode == EMERGENCY_STOP:
            raise RefusedError(f"emergency stop is latched ({self.reason}); reset it first")
        plan = self._ready_plan(activate, deactivate, strictness, steady_ns, patient)
        entries = [self.registry.get(name) for name in plan.activate]
        new = [self.laws.of(entry, self._forces) for entry in entries]
        before = [f.name for f in self._forces if any(f.claim.overlaps(n.claim) for n in new) and f.name != HELD]
        forces = self.laws.partition(new, self._forces, plan.deactivate)
        self._deactivate(plan.deactivate)
        for entry in entries:
            entry.state, entry.reason = "active", ""
        if new:
            self.counters.last_switch = f"{' + '.join(before) or 'nothing'} → {' + '.join(plan.activate)}"
        else:
            self._fallback_since_ns = steady_ns
        # a state that is sent again, by a simulation that stands still, is answered anew by the new controllers
        self._answered = False
        self._switched = True
        self.counters.switches += len(new)
        self._put(forces)
        return plan.account

    def _ready_plan(
        self,
        activate: Sequence[str],
        deactivate: Sequence[str],
        strictness: Strictness,
        steady_ns: int,
        patient: bool,
    ) -> SwitchPlan:
        """The plan of a switch whose controllers can all start; best effort leaves out others, if one is left."""
        wanted = list(activate)
        left_out: list[str] = []
        while True:
            plan = plan_switch(self.registry, self.claims, wanted, deactivate, strictness, left_out)
            for name in plan.activate:
                try:
                    self._check_ready(self.registry.get(name), steady_ns)
                except NotReadyError as error:
                    if patient or strictness is not Strictness.BEST_EFFORT or len(plan.activate) == 1:
                        raise
                    left_out.append(str(error))
                    wanted = [n for n in wanted if n != name]
                    break
            else:
                return plan

    def _check_ready(self, entry: ControllerEntry, steady_ns: int) -> None:
        self._acceptance.check_ready(entry, self.state_age(steady_ns), steady_ns, self.stamp_ns)

    # --- stopping ---

    def emergency_stop(self, reason: str) -> None:
        """Stop, latched: from the next tick on the robot is damped or without effort, whatever was active."""
        self._deactivate(self.active_controllers)
        self._blend.clear(self.claims.all)
        self._put([self.laws.hold(EMERGENCY_STOP, self.claims.all, soft=True, begun=True)])
        self.mode, self.reason = EMERGENCY_STOP, reason or "no reason was given"
        self._answered = False

    def reset_emergency_stop(self) -> None:
        """Lift the latch; nothing is commanded until a controller is activated.

        Raises:
            RefusedError: it is not latched.
        """
        if self.mode != EMERGENCY_STOP:
            raise RefusedError(f"no emergency stop is latched; the mode is {self.mode}")
        self._forces, self._lead = [], None
        self.mode, self.reason = "idle", "emergency stop was reset; no controller was activated since"

    def _deactivate(self, names: Sequence[str], reason: str = "") -> None:
        for name in names:
            entry = self.registry.get(name)
            entry.state, entry.reason = "inactive", reason

    def _put(self, forces: list[LawInForce]) -> None:
        """Have these laws drive the joints, and say so."""
        self._forces = forces
        controllers = [f for f in forces if f.is_controller]
        self._lead = lead = (controllers or [f for f in forces if f.name != HELD])[0]
        self._signature = " + ".join(f.name for f in controllers) or lead.name
        sound = [f for f in controllers if not f.reason]
        faults = [f for f in forces if f.reason]
        if sound:
            names = " and ".join(f"'{f.name}'" for f in sound)
            parts = [f"{', '.join(f.claim.joints)}: {f.reason}" for f in faults]
            self.mode = "active"
            self.reason = "; ".join([f"{names} command{'' if len(sound) > 1 else 's'}", *parts])
        else:
            self.mode, self.reason = FALLBACK, "; ".join(dict.fromkeys(f.reason for f in faults))

    def _replace(self, force: LawInForce, others: Sequence[LawInForce]) -> None:
        """Have others drive the joints of a law."""
        forces = [f for f in self._forces if f is not force] + list(others)
        self._put(sorted(forces, key=lambda f: f.claim.places))

    def _fall_back(self, reason: str, steady_ns: int, count: bool = True) -> None:
        """Let the hold take over all joints: something is wrong with the robot, or what is known of it."""
        self._deactivate(self.active_controllers, reason)
        self._put([self.laws.hold(FALLBACK, self.claims.all, reason=reason)])
        self._fallback_since_ns = steady_ns
        self._switched = True
        self.counters.fallbacks += count

    def _fall_back_from(
        self, force: LawInForce, reason: str, steady_ns: int, count: bool = True, soft: bool | None = None
    ) -> list[LawInForce]:
        """Let others take over the joints of one controller: the first fallback controller that can, and the hold.

        Args:
            force: the law that failed or ended.
            reason: why.
            steady_ns: now.
            count: whether something was wrong.
            soft: of the hold: without its spring, as configured when None. A hold that was asked for is no job for
                a fallback controller.
        """
        self._deactivate([force.name], reason)
        failed = force.failed | {force.name}
        substitute = self._substitute(force, failed, steady_ns) if soft is None else None
        if substitute is None:
            new = [self.laws.hold(FALLBACK, force.claim, soft, reason)]
        else:
            entry = self.registry.get(substitute)
            reason = f"{reason}; '{substitute}' steps in"
            law = self.laws.of(entry, ())
            law.reason, law.failed = reason, failed
            entry.state, entry.reason = "active", ""
            rest = self.claims.rest(force.claim, [law.claim])
            new = [law, self.laws.hold(FALLBACK, rest, soft, reason)] if rest else [law]
        self._fallback_since_ns = steady_ns
        self._switched = True
        self.counters.fallbacks += count
        self._replace(force, new)
        return new

    def _substitute(self, force: LawInForce, failed: frozenset[str], steady_ns: int) -> str | None:
        """The first fallback controller that is ready, idle, drives none but these joints, and did not fail on them."""
        for name in self.config.fallback_controllers:
            if name in failed or name not in self.registry:
                continue
            entry = self.registry.get(name)
            claim = self.claims.of_entry(entry)
            if entry.state == "active" or claim is None or not claim.within(force.claim):
                continue
            try:
                self._check_ready(entry, steady_ns)
            except NotReadyError:
                continue
            return name
        return None
