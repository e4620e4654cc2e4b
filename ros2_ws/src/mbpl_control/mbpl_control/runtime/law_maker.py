"""Laws that are about to take over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbpl_control.core import ExecutionMode, FeedbackLaw
from mbpl_control.models.robot import RobotModel
from mbpl_control.runtime.claims import Claim, Claims
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.executors import Executor, HorizonExecutor, KnotExecutor
from mbpl_control.runtime.hold import HoldExecutor, HoldGains
from mbpl_control.runtime.law_in_force import LawInForce
from mbpl_control.runtime.registry import FALLBACK, HELD, ControllerEntry


class LawMaker:
    """Makes laws in force: of controllers, and the holds of joints that none drives.

    Args:
        robot: the robot.
        gains: of the holds.
        claims: on its joints.
        config: seed, and the kind of fallback.

    Attributes:
        next_seed: seed of the next controller's noise; None counts on from the configured one.
    """

    def __init__(self, robot: RobotModel, gains: HoldGains, claims: Claims, config: ManagerConfig) -> None:
        """Have made none."""
        self._robot, self._gains, self._claims, self._config = robot, gains, claims, config
        self._activations = 0
        self.next_seed: int | None = None

    def of(self, entry: ControllerEntry, before: Sequence[LawInForce]) -> LawInForce:
        """The law of a controller that is ready to start.

        Args:
            entry: the controller.
            before: laws that commanded until now: a plan that another controller takes over in its middle goes on
                there, in the mode of the new one.
        """
        claim = self._claims.of_entry(entry)
        assert claim is not None  # noqa: S101 - it is ready
        if entry.type == "hold":
            return self.hold(entry.name, claim, soft=False)
        seed = self._config.seed + self._activations if self.next_seed is None else self.next_seed
        self.next_seed = None
        self._activations += 1
        rng = np.random.default_rng(seed)
        executor = self.executor(entry, rng)
        for old in before:
            if old.law is None or entry.law is None or old.law.law is not entry.law.law or old.name == entry.name:
                continue
            if isinstance(executor, HorizonExecutor) and isinstance(old.executor, HorizonExecutor):
                executor.start_ns = old.executor.start_ns
        return LawInForce(entry.name, executor, claim, entry.law, rng)

    def executor(self, entry: ControllerEntry, rng: np.random.Generator) -> Executor:
        """The newest law of a controller, at work."""
        accepted = entry.law
        assert accepted is not None  # noqa: S101 - checked by the callers
        mode, law = ExecutionMode(entry.mode), accepted.law
        if isinstance(law, FeedbackLaw):
            return KnotExecutor(law, mode, accepted.selection, rng, accepted.valid_until_ns, accepted.step)
        start = accepted.valid_from_ns if law.anchor == "stamp" else None
        return HorizonExecutor(law, mode, accepted.selection, rng, start, accepted.valid_until_ns or None)

    def hold(
        self, name: str, claim: Claim, soft: bool | None = None, reason: str = "", begun: bool = False
    ) -> LawInForce:
        """A hold of some joints; without a spring if `soft`, as the fallback is configured when None."""
        soft = self._config.fallback == "damp" if soft is None else soft
        executor = HoldExecutor(self._robot, self._gains, soft, claim.pick)
        return LawInForce(name, executor, claim, begun=begun, reason=reason)

    def partition(
        self, new: Sequence[LawInForce], before: Sequence[LawInForce], ended: Sequence[str]
    ) -> list[LawInForce]:
        """All joints, when new laws take over some of them.

        Others that are driven stay so. Those of a controller that ended fall back, unless another one took over part of
        them: the rest is then held, and so are joints that nobody drove.

        Args:
            new: laws that take over.
            before: what commanded until now; nothing when the manager was idle.
            ended: controllers that end.
        """
        taken = [law.claim for law in new]
        out = list(new)
        for old in before:
            rest = self._claims.rest(old.claim, taken)
            if rest == old.claim:
                deactivated = self.hold(FALLBACK, rest, reason="its controller was deactivated")
                out.append(deactivated if old.name in ended else old)
            elif rest:
                out.append(self._held(old, rest))
        free = self._claims.rest(self._claims.all, [law.claim for law in out])
        if free:
            out.append(self.hold(HELD, free))
        return sorted(out, key=lambda law: law.claim.places)

    def _held(self, old: LawInForce, rest: Claim) -> LawInForce:
        """The rest of the joints of a law: still where they are, when it held them already."""
        if isinstance(old.executor, HoldExecutor):
            return LawInForce(HELD, old.executor.narrowed(rest.pick), rest, begun=old.begun)
        return self.hold(HELD, rest)
