"""Putting a trial together from what is heard of it: states and the commands that answered them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core import Trial
from mbpl_control.core.alignment import SAME_INSTANT, Placement, Stamps, knots_of, place, step_means
from mbpl_control.core.errors import RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.tasks.task import Task


@dataclass(frozen=True)
class HeardState:
    """A state as it came by: x of the task, and the robot's own (q, v)."""

    stamp_ns: int
    x: Array
    robot: Array


class TrialCollector:
    """Collects one trial of `steps` steps. The trial begins with the first state that `controller` answers.

    Args:
        task: what is being tried.
        controller: name of the controller, as commands carry it.
        condition: start condition.
        seed: of the trial's noise.
        steps: T; the task's horizon when None.
        cost: the task's from that start condition, for who has it at hand; it is built when None.
    """

    def __init__(
        self,
        task: Task,
        controller: str,
        condition: int,
        seed: int,
        steps: int | None = None,
        cost: SumCost | None = None,
    ) -> None:
        """Begin empty."""
        self._cost = cost
        self.task, self.controller = task, controller
        self.condition, self.seed = condition, seed
        self.steps = task.horizon if steps is None else steps
        self._dt_ns = round(1e9 * task.dt)
        self._states: list[HeardState] = []
        self._commands: list[tuple[int, Array]] = []
        self.start_ns: int | None = None
        self._newest_ns = 0
        self._newest_command_ns = 0
        #: name of another controller that commanded before the end; empty when none did
        self.interrupted_by = ""

    @property
    def end_ns(self) -> int | None:
        """Stamp of the last state of the trial; None before it began."""
        return None if self.start_ns is None else self.start_ns + self.steps * self._dt_ns

    @property
    def step(self) -> int:
        """Steps that are over."""
        if self.start_ns is None:
            return 0
        return min(max((self._newest_ns - self.start_ns) // self._dt_ns, 0), self.steps)

    @property
    def complete(self) -> bool:
        """Whether the last state has come."""
        end = self.end_ns
        return end is not None and self._newest_ns >= end - SAME_INSTANT

    @property
    def answered(self) -> bool:
        """Whether every command of the trial has come: one that answers its last state, or a later one, was heard.

        States and commands come by different ways: the last state may be heard before the command ahead of it.
        """
        end = self.end_ns
        return end is not None and self._newest_command_ns >= end - SAME_INSTANT

    def on_state(self, stamp_ns: int, x: Array, robot: Array) -> None:
        """A state (nx,) and the robot's own (nq + nv,); one that was sent again counts once."""
        if self._states and stamp_ns <= self._states[-1].stamp_ns:
            return
        self._states.append(HeardState(stamp_ns, x, robot))
        self._newest_ns = stamp_ns

    def on_command(self, stamp_ns: int, controller: str, values: Array) -> None:
        """A command (m,) that answered the state of `stamp_ns`; one that was sent again counts once."""
        self._newest_command_ns = max(self._newest_command_ns, stamp_ns)
        if controller == self.controller:
            if self.start_ns is None:
                self.start_ns = stamp_ns
            if not self._commands or stamp_ns > self._commands[-1][0]:
                self._commands.append((stamp_ns, values))
            return
        end = self.end_ns
        if end is not None and not self.interrupted_by and self.start_ns is not None:
            if self.start_ns < stamp_ns < end - SAME_INSTANT:
                self.interrupted_by = controller

    def told(self, step: int) -> bool:
        """Whether all of a step has been heard: the state it ends in, and every command before that."""
        if self.start_ns is None or not 0 <= step < self.steps:
            return False
        end = self.end_of(step) - SAME_INSTANT
        return self._newest_ns >= end and self._newest_command_ns >= end

    def end_of(self, step: int) -> int:
        """Stamp of the state a step ends in, ns, of a trial that has begun."""
        assert self.start_ns is not None  # noqa: S101 - nothing ends before it
        return self.start_ns + (step + 1) * self._dt_ns

    def transition(self, step: int) -> tuple[Array, Array, Array]:
        """x (nx,), u (m,) and x' (nx,) of a step that is told.

        Raises:
            RefusedError: too much of it got lost.
        """
        assert self.start_ns is not None  # noqa: S101 - nothing is told before it
        knots = knots_of(self.start_ns + step * self._dt_ns, self.task.dt, 1)
        states = self._place(knots).of(np.array([s.x for s in self._states]), self.task.state.space)
        actions, _ = self._step_means(knots)
        return states[0], actions[0], states[1]

    def _place(self, knots: Stamps) -> Placement:
        return place(knots, np.array([s.stamp_ns for s in self._states]), self.task.dt)

    def _step_means(self, knots: Stamps) -> tuple[Array, int]:
        stamps, values = zip(*self._commands, strict=True)
        return step_means(knots, np.array(stamps), np.array(values))

    def trial(self, stop_reason: str = "completed") -> tuple[Trial, Array]:
        """The trial, and the robot's own states (T+1, nq + nv); fewer steps when it was stopped early.

        A state that got lost is joined from its neighbours, if they are close enough; the number of these is kept
        in the metadata as `interpolated_states`. The action of a step is the mean of the commands in it. A trial that
        was stopped early has no costs.

        Raises:
            RefusedError: not one step was completed, or too much got lost.
        """
        steps = self.step
        if self.start_ns is None or steps == 0:
            raise RefusedError(f"the trial of '{self.controller}' ended before its first step was over: {stop_reason}")
        knots = knots_of(self.start_ns, self.task.dt, steps)
        placed = self._place(knots)
        states = placed.of(np.array([s.x for s in self._states]), self.task.state.space)
        robot = placed.of(np.array([s.robot for s in self._states]), self.task.robot.state.space)
        actions, filled = self._step_means(knots)
        done = steps == self.steps and stop_reason == "completed"
        costs, success = np.zeros(0), False
        if done:
            # the cost is one of a whole trajectory: what was stopped early has none, a shorter law pays for its steps
            cost = self.task.cost(self.condition) if self._cost is None else self._cost
            costs = cost.prefix(self.task.horizon).evaluate(robot, actions)
            success = self.task.success(robot, self.condition).ok
        trial = Trial(
            self.task.state,
            self.task.action,
            self.task.dt,
            states,
            actions,
            costs=costs,
            task=self.task.name,
            task_hash=self.task.hash,
            condition=self.condition,
            controller=self.controller,
            seed=self.seed,
            success=success,
            stop_reason=stop_reason,
            metadata={"interpolated_states": placed.joined, "steps_without_command": filled},
        )
        return trial, robot
