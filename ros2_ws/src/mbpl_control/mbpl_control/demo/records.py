"""What the demo keeps of a trial and of a swap, read back from the bags it recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mbpl_control.core.validation import Array


@dataclass(frozen=True)
class TrialRecord:
    """One trial of the demo.

    Attributes:
        controller: name of the controller.
        disturbance: "none", "push" or "model error".
        times: (T+1,) s.
        distances: (T+1,) m, frame to target.
        points: (T+1, 3) m, position of the frame.
        actions: (T, m) as applied.
        cost: total cost.
        final_distance: m.
        deadline_misses: of the manager during the trial.
        latencies: (N,) s, state to command as the recorder saw them.
        bag: its directory.
    """

    controller: str
    disturbance: str
    times: Array
    distances: Array
    points: Array
    actions: Array
    cost: float
    final_distance: float
    deadline_misses: int
    latencies: Array
    bag: Path


@dataclass(frozen=True)
class Swap:
    """One change of controller.

    Attributes:
        time: s since the recording began.
        before: controller that sent the last command before.
        after: controller that sent the first command after.
        jumps: (m,) change of each command across the swap, fraction of the actuator's limit.
    """

    time: float
    before: str
    after: str
    jumps: Array


@dataclass(frozen=True)
class SwapRecord:
    """Commands of a run with swaps in motion.

    Attributes:
        times: (N,) s.
        commands: (N, m).
        controllers: (N,) the controller of each command.
        speeds: (N,) rad/s, largest joint speed at each command, to show that the arm moved.
        limits: (m,) of the actuators.
        swaps: what changed.
        bag: its directory.
    """

    times: Array
    commands: Array
    controllers: tuple[str, ...]
    speeds: Array
    limits: Array
    bag: Path
    swaps: tuple[Swap, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find the swaps."""
        object.__setattr__(
            self, "swaps", find_swaps(self.times, self.commands, self.controllers, self.limits)
        )

    @property
    def largest_jump(self) -> float:
        """Largest change of a command across any swap, fraction of its limit."""
        return max((float(s.jumps.max()) for s in self.swaps), default=0.0)


def find_swaps(
    times: Array, commands: Array, controllers: tuple[str, ...], limits: Array
) -> tuple[Swap, ...]:
    """Swaps among successive commands: where the name of the controller changes. (N,), (N, m), (N,), (m,)."""
    names = np.array(controllers)
    changed = np.flatnonzero(names[1:] != names[:-1]) + 1
    return tuple(
        Swap(
            float(times[i]),
            str(names[i - 1]),
            str(names[i]),
            np.abs(commands[i] - commands[i - 1]) / limits,
        )
        for i in changed
    )
