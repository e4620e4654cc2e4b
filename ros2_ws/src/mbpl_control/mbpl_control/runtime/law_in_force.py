"""The law that commands, and what it took over from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.runtime.blend import Blend
from mbpl_control.runtime.claims import Claim
from mbpl_control.runtime.executors import Executor, RobotSample
from mbpl_control.runtime.registry import EMERGENCY_STOP, FALLBACK, HELD, AcceptedLaw


@dataclass
class LawInForce:
    """A law in execution, on the joints of one controller or on joints that none drives.

    Attributes:
        name: of its controller; "fallback", "held" or "emergency_stop" when it is none's.
        executor: the law at work.
        claim: the joints it drives.
        law: what it executes; None for a hold.
        rng: of its noise, over all laws of a stream; None for a hold.
        predecessor: the law of the same stream that it replaces; None when it takes over from another controller.
        begun: whether it has answered a state.
        start_ns: stamp of the first state its controller answered since it was activated; None before that.
        reason: what went wrong with these joints, when they fell back; empty when nothing did.
        failed: controllers that failed on these joints since the last switch; none of them takes over again by itself.
    """

    name: str
    executor: Executor
    claim: Claim
    law: AcceptedLaw | None = None
    rng: np.random.Generator | None = None
    predecessor: Executor | None = None
    begun: bool = False
    start_ns: int | None = None
    reason: str = ""
    failed: frozenset[str] = frozenset()

    @property
    def is_controller(self) -> bool:
        """Whether a controller of the registry is behind it."""
        return self.name not in (FALLBACK, HELD, EMERGENCY_STOP)

    def successor(self, executor: Executor, law: AcceptedLaw) -> LawInForce:
        """The next law of the same stream; one that never answered a state leaves no trace."""
        before = self.executor if self.begun else self.predecessor
        return replace(self, executor=executor, law=law, predecessor=before, begun=False)

    def blend(
        self, blend: Blend, wanted: Array, applied: Array, sample: RobotSample, durations: tuple[float, float]
    ) -> None:
        """Have the command go over from what was commanded before, at the first state this law answers.

        Another controller's command is left at the last one applied. Within a stream it is left at what the predecessor
        would command now: were it the last applied one, a stream as fast as the states would hold that command for
        ever.

        Args:
            blend: differences that still die out.
            wanted: the law's part of the command for `sample`.
            applied: the last command the robot got, all of it.
            sample: the newest state.
            durations: s to go over between controllers, and between laws of a stream.
        """
        if self.begun:
            return
        self.begun = True
        if self.start_ns is None:
            self.start_ns = sample.stamp_ns
        before = self._predecessor_command(sample)
        if before is None:
            blend.clear(self.claim)
            blend.add(self.claim, applied[self.claim.pick] - wanted, durations[0])
        else:
            blend.add(self.claim, before - wanted, durations[1])
        self.predecessor = None

    def _predecessor_command(self, sample: RobotSample) -> Array | None:
        if self.predecessor is None:
            return None
        try:
            command = self.predecessor.evaluate(sample)
        except Exception:  # noqa: BLE001 - it is over, one way or another: the robot's last command is what is left
            return None
        return command if np.isfinite(command).all() else None
