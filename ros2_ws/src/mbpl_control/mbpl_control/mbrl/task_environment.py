"""A task as an environment of Gymnasium: the robot of in-process trials, the manager's limits on its commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from mbpl_control.agents.law_source import PolicySource
from mbpl_control.agents.managed import ManagedRobot, robot_state
from mbpl_control.agents.mujoco import MujocoAgent
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core import ExecutionMode, FeedbackLaw
from mbpl_control.core.errors import InvalidFieldError, ModelError, RefusedError
from mbpl_control.core.validation import Array, float_array
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.mbrl.task_view import MeanCost, TaskView
from mbpl_control.runtime.executors import RobotSample
from mbpl_control.tasks.task import Task, load_task

OWNER = "TaskEnvironment"
#: Of an action's range, by which rounding, that of float32 too, may put it beyond its limits.
ROUNDING = 1e-6


class TaskEnvironment(gymnasium.Env[Array, Array]):
    r"""A task of mbpl for learners that know Gymnasium.

    An episode is a trial as `MujocoAgent` runs it in lockstep, to the last bit: the same physics, sensor noise, hold
    before the start and limits on commands. What the task makes a trial cost is what an episode pays,

        r_t = −c_t(x_t, u_t) for t < T − 1,   r_{T−1} = −c_{T−1}(x_{T−1}, u_{T−1}) − c_T(x_T),

    with its ramps, u_t as applied after all limits. An episode is truncated after T steps, the task's horizon. It is
    terminated only where a trial would be aborted: the simulation diverged, or the manager took the robot away from
    the law. Then the rest of the horizon is paid for as if the robot stayed where it was, so that nobody gains by it.

    The observation is the view of `TaskView`: the task's state x (n,), with frame positions relative to the target
    where start conditions differ in it. Actions are those of the task, within its limits.

    `reset` draws one of the start conditions; `options={"condition": k}` names one, held out or not. `info` has
    `condition` and `seed` (of the trial: `MujocoAgent.run` with it meets the same noise), at each step `applied` (m,)
    and `distance` (m or rad, NaN where the task has no rule of success), and at the end `success`, where it has one;
    `stopped` says why a trial was aborted.

    Args:
        task: name, path of a file, or the task itself.
        conditions: that starts are drawn from; the training conditions when None.
        features: show angles that wind as sine and cosine, see `TaskView.features`.
        ramps: pay what the task says; without them −c̄(x_t, u_t) of `MeanCost` with u_t as asked for, the same function
            at each step.

    Raises:
        TaskError: no such task, or see `TaskView`.
        InvalidFieldError: an action of the task has no limit.
        ModelError: the robot has a ball or free joint.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium wants it

    def __init__(
        self,
        task: str | Path | Task,
        conditions: Sequence[int] | None = None,
        features: bool = False,
        ramps: bool = True,
    ) -> None:
        """Compile the simulation."""
        self.task = task = task if isinstance(task, Task) else load_task(task)
        self.conditions = training(task) if conditions is None else tuple(conditions)
        if not self.conditions:
            raise InvalidFieldError(OWNER, "conditions", "none", "at least one start condition")
        self.view = TaskView(task, self.conditions)
        self._features = self.view.features if features else None
        self._mean = None if ramps else MeanCost(self.view)
        recipe = AgentRecipe.in_lockstep(task)
        self._agent = MujocoAgent(task, recipe.options, recipe.config)
        self._hand = _Hand(task)
        self._robot: ManagedRobot | None = None
        self._costs: dict[int, SumCost] = {}
        lower, upper = task.action.lower, task.action.upper
        if not np.isfinite([lower, upper]).all():
            raise InvalidFieldError(OWNER, "action", f"limits {lower} to {upper}", "finite")
        self.action_space = gymnasium.spaces.Box(lower, upper, dtype=np.float64)
        size = self.view.features.size if features else self.view.definition.size
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), dtype=np.float64)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin a trial.

        Raises:
            InvalidFieldError: an unknown option.
            TaskError: there is no such condition.
        """
        super().reset(seed=seed)
        given = dict(options or {})
        drawn = self.conditions[int(self.np_random.integers(len(self.conditions)))]
        start = self.task.condition(given.pop("condition", drawn))
        if given:
            raise InvalidFieldError(OWNER, "options", ", ".join(given), "condition alone")
        trial_seed = int(self.np_random.integers(2**62))
        agent = self._agent
        agent.simulation.reset(start.state, trial_seed, agent.settle_time, start.bodies)
        mode = ExecutionMode.OPEN_LOOP.value
        source = PolicySource(self._hand)
        self._robot = ManagedRobot(self.task, agent.simulation, source, agent.config, mode, trial_seed)
        self._condition = start.index
        if start.index not in self._costs:
            self._costs[start.index] = self.task.cost(start.index)
        self._cost = self._costs[start.index]
        self._weights = self._cost.weights(self.task.horizon)
        self._step = 0
        self._take(self._robot.hold())
        self._states = [self._state]
        return self._observation(), {"condition": start.index, "seed": trial_seed}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step of the task.

        Raises:
            InvalidFieldError: the action is beyond its limits, has another size, or is not finite.
            RefusedError: no trial is under way.
        """
        robot, steps = self._robot, self.task.horizon
        if robot is None:
            raise RefusedError("no trial is under way: call reset")
        self._hand.action = self._checked(action)
        t, applied, stopped = self._step, self._hand.action, ""
        try:
            command = robot.begin(self._sample) if t == 0 else robot.answer(self._sample)
            if robot.manager.mode != "active" or command is None:
                stopped = robot.manager.reason or "the law is not in force"
            else:
                applied = np.array(command.values)
                self._agent.simulation.step()
        except (ModelError, RefusedError) as error:
            stopped = str(error)
        info: dict[str, Any] = {"condition": self._condition, "applied": applied}
        if stopped:
            self._robot = None
            info |= self._judged(stopped) | {"stopped": stopped}
            return self._observation(), self._paid(applied, slice(t, None)), True, False, info
        reward = self._paid(applied, slice(t, t + 1))
        sample = robot.measure()
        assert sample is not None  # noqa: S101 - in lockstep no measurement is lost
        self._take(sample)
        self._states.append(self._state)
        self._step += 1
        cut = self._step == steps
        if cut:
            self._robot = None
            if self._mean is None:
                reward += self._paid(applied, slice(steps, None))
        info |= self._judged("") if cut else {"distance": self._distance()}
        return self._observation(), reward, False, cut, info

    def _paid(self, applied: Array, times: slice) -> float:
        """The reward of states like the present one, at all those times."""
        if self._mean is not None:
            count = len(range(self.task.horizon)[times])
            return -count * float(self._mean.value(self._view_now()[None], self._hand.action[None])[0])
        weights = self._weights[:, times].sum(axis=1)
        return -float(self._cost.stage(weights, self._state[None], applied[None])[0])

    def _take(self, sample: RobotSample) -> None:
        self._sample, self._state = sample, robot_state(sample.q, sample.v)

    def _view_now(self) -> Array:
        return self.view.of(self._sample.x, self._condition)

    def _observation(self) -> Array:
        view = self._view_now()
        return view if self._features is None else self._features(view)

    def _distance(self) -> float:
        return float(self.task.distances(self._state, self._condition))

    def _judged(self, stopped: str) -> dict[str, Any]:
        """How the trial ended by the task's rule; nothing but NaN without one."""
        if not self.task.has_rule:
            return {"distance": float("nan")}
        if stopped:
            return {"distance": self._distance(), "success": False}
        success = self.task.success(np.array(self._states), self._condition)
        return {"distance": success.distance, "success": success.ok}

    def _checked(self, action: Array) -> Array:
        """The action, put back within limits that rounding carried it over."""
        wanted = float_array(OWNER, "action", action, (self.task.action.size,))
        lower, upper = self.task.action.lower, self.task.action.upper
        slack = ROUNDING * (upper - lower)
        beyond = np.flatnonzero((wanted < lower - slack) | (wanted > upper + slack))
        if beyond.size:
            i = int(beyond[0])
            name, unit = self.task.action.actuator_names[i], self.task.action.units[i]
            allowed = f"{lower[i]:g} to {upper[i]:g} {unit}"
            raise InvalidFieldError(OWNER, f"action of '{name}'", f"{wanted[i]:g}", allowed)
        return np.minimum(np.maximum(wanted, lower), upper)


class _Hand:
    """Answers each state with the action it was given.

    Attributes:
        action: u (m,).
    """

    def __init__(self, task: Task) -> None:
        """Have no action yet."""
        self._task = task
        self.action = np.zeros(task.action.size)
        self._gain = np.zeros((task.action.size, task.state.tangent_size))

    def at(self, x: Array) -> FeedbackLaw:
        """See `Feedback.at`."""
        return FeedbackLaw(self._task.state, self._task.action, x, self.action, self._gain)


def training(task: Task) -> tuple[int, ...]:
    """The start conditions that a task is learned from."""
    return tuple(condition.index for condition in task.conditions if not condition.held_out)
