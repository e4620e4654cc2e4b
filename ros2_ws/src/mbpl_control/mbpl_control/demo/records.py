"""What the demo knows of its trials and swaps, read back from the bags it recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.demo.learning import LearningRecord
from mbpl_control.demo.program import TrialSpec

#: A swap is watched for so long, s: longer than a new law takes to blend in.
WATCH = 0.1


@dataclass(frozen=True, eq=False)
class TrialRecord:
    """One trial of the demo.

    Attributes:
        spec: what was asked for.
        times: (T+1,) s since the controller's first command.
        states: (T+1, nq + nv) of the robot.
        points: (T+1, 3) m, position of the frame that success is about.
        distances: (T+1,) m, frame to target.
        command_times: (N,) s, stamps of the states that were answered.
        commands: (N, m) as sent, after all limits.
        cost: total cost.
        deadline_misses: of the manager during the trial.
        latencies: (N,) s, from a state to its command, as they reached the recorder.
        bag: its directory.
    """

    spec: TrialSpec
    times: Array
    states: Array
    points: Array
    distances: Array
    command_times: Array
    commands: Array
    cost: float
    deadline_misses: int
    latencies: Array
    bag: Path

    @property
    def final_distance(self) -> float:
        """Distance at the end, m."""
        return float(self.distances[-1])


@dataclass(frozen=True, eq=False)
class LawRecord:
    """The law as it was applied, step by step.

    Attributes:
        nominal_states: x̂ (T, nx).
        nominal_actions: û + k (T, m).
        gains: K (T, m, ndx).
        covariances: Σ (T, m, m).
    """

    nominal_states: Array
    nominal_actions: Array
    gains: Array
    covariances: Array


@dataclass(frozen=True, eq=False)
class Swap:
    """One change of controller.

    Attributes:
        time: s, stamp of the first command after it.
        before: controller that sent the last command before.
        after: controller that sent the first command after.
        speed: rad/s or m/s, largest of a joint at the swap.
        jumps: (m,) change of each command across the swap, fraction of the actuator's limit.
        changes: (m,) largest change from one command to the next until `WATCH` after the swap, fraction of the limit;
            what the new law asks for by itself is in it.
    """

    time: float
    before: str
    after: str
    speed: float
    jumps: Array
    changes: Array


@dataclass(frozen=True, eq=False)
class SwapRecord:
    """Commands of a run with swaps in motion.

    Attributes:
        name: of the run.
        times: (N,) s, stamps of the states that were answered.
        commands: (N, m).
        controllers: (N,) the controller of each command.
        speeds: (N,) rad/s or m/s, largest of a joint at each command.
        limits: (m,) of the actuators.
        deadline_misses: of the manager during the run.
        latencies: (N,) s, from a state to its command, as they reached the recorder.
        bag: its directory.
        swaps: what changed.
    """

    name: str
    times: Array
    commands: Array
    controllers: tuple[str, ...]
    speeds: Array
    limits: Array
    deadline_misses: int
    latencies: Array
    bag: Path
    swaps: tuple[Swap, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find the swaps."""
        swaps = find_swaps(self.times, self.commands, self.controllers, self.speeds, self.limits)
        object.__setattr__(self, "swaps", swaps)

    @property
    def largest_jump(self) -> float:
        """Largest change of a command across any swap, fraction of its limit."""
        return max((float(s.jumps.max()) for s in self.swaps), default=0.0)


def find_swaps(
    times: Array, commands: Array, controllers: tuple[str, ...], speeds: Array, limits: Array
) -> tuple[Swap, ...]:
    """Swaps among successive commands: where the name of the controller changes. (N,), (N, m), (N,), (N,), (m,)."""
    names = np.array(controllers)
    changed = np.flatnonzero(names[1:] != names[:-1]) + 1
    differences = np.abs(np.diff(commands, axis=0)) / limits
    swaps = []
    for i in changed:
        # a command belongs to the swap before it: the watch ends where the next one begins
        later = np.flatnonzero(changed > i)
        end = int(np.searchsorted(times, times[i] + WATCH, side="right"))
        end = min(end, int(changed[later[0]])) if later.size else end
        swaps.append(
            Swap(
                float(times[i]),
                str(names[i - 1]),
                str(names[i]),
                float(speeds[i]),
                differences[i - 1],
                differences[i - 1 : end - 1].max(axis=0),
            )
        )
    return tuple(swaps)


@dataclass(frozen=True)
class BagCheck:
    """Whether one bag can be read.

    Attributes:
        path: its directory.
        messages: in it, as the bag library counts them.
        problem: why it cannot be read; empty when it can.
    """

    path: Path
    messages: int
    problem: str = ""


@dataclass(frozen=True)
class Promise:
    """Something the demo promises.

    Attributes:
        text: what.
        found: what was measured, in words.
        kept: whether it came true.
    """

    text: str
    found: str
    kept: bool


@dataclass(frozen=True, eq=False)
class DemoResult:
    """All that a report tells.

    Attributes:
        task: name.
        target: (3,) m.
        frame: that success is about.
        joint_names: (n,).
        limits: (m,) of the actuators' commands.
        units: (m,) of the commands.
        rate: Hz of states and commands.
        seed: the first.
        trials: in their order.
        swaps: runs with swaps.
        tube: (T+1, 3) m, standard deviation of the frame's position under the sampled law on the model.
        planned: (T+1, 3) m, the frame along the plan.
        skeletons: chain of body positions, (T+1, B, 3) m, by name of the trial.
        bags: whether each can be read.
        learned: what was learned from trials; None when that part was left out.
        repeated: trials that the manager's safety contract cut short and that were run again, with the reason.
        promises: and whether they were kept.
        versions: of what ran.
        started: local time, ISO 8601.
        seconds: of wall time, the report left out.
    """

    task: str
    target: Array
    frame: str
    joint_names: tuple[str, ...]
    limits: Array
    units: tuple[str, ...]
    rate: float
    seed: int
    trials: tuple[TrialRecord, ...]
    swaps: tuple[SwapRecord, ...]
    tube: Array
    planned: Array
    skeletons: Mapping[str, Array]
    bags: tuple[BagCheck, ...]
    repeated: tuple[str, ...]
    learned: LearningRecord | None
    promises: tuple[Promise, ...]
    versions: Mapping[str, str]
    started: str
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return all(p.kept for p in self.promises)

    def trial(self, controller: str, world: str) -> TrialRecord:
        """The first trial of a controller in a world."""
        return next(t for t in self.trials if (t.spec.controller, t.spec.world.name) == (controller, world))
