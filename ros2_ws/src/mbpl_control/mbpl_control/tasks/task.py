"""A task: robot, horizon, start conditions, cost, limits and what counts as success."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError, MbplError, ModelError, TaskError
from mbpl_control.core.hashing import content_hash
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.state_space import wrap_angle
from mbpl_control.core.validation import Array
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.models import rigid_tree
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.models.mujoco_dynamics import MujocoDynamics
from mbpl_control.models.pinocchio_dynamics import PinocchioDynamics
from mbpl_control.models.resources import resolve
from mbpl_control.models.robot import RobotModel
from mbpl_control.tasks.catalog import find_task
from mbpl_control.tasks.reading import TaskDocument
from mbpl_control.tasks.schema import PlannerSection, block_frame
from mbpl_control.tasks.terms import build_term


@dataclass(frozen=True, eq=False)
class Condition:
    """A start condition.

    Attributes:
        index: training conditions first, then those held out.
        name: as in the file, or "train 0".
        held_out: whether learning may not use it.
        state: x (nx,) of the robot, positions then velocities.
        target: (3,) m, or None when the task has none.
    """

    index: int
    name: str
    held_out: bool
    state: Array
    target: Array | None


@dataclass(frozen=True)
class Success:
    """How a trajectory ended.

    Attributes:
        ok: whether the task's rule held.
        distance: largest distance over the last steps that count, m or rad.
        limit: what the rule allows.
        unit: "m" or "rad".
    """

    ok: bool
    distance: float
    limit: float
    unit: str


class Task:
    """A task as its file describes it. Build it with `load_task`.

    Attributes:
        name: of the task.
        path: its file.
        dt: duration of a step, s.
        horizon: T, steps.
        robot: the robot.
        action: what u is, with the task's limits.
        state: what the graph's state holds; the robot's own state, and frame points if the task asks for them.
        conditions: start conditions.
        hash: of the task's content and the robot's file.
    """

    def __init__(self, document: TaskDocument) -> None:
        """Build robot and conditions; check what the schema cannot."""
        file = document.file
        self._document, self._file = document, file
        self.path = document.path
        self.name = file.name or document.path.stem
        self.description = file.description
        self.dt, self.horizon = file.dt, file.horizon
        self.planner: PlannerSection = file.planner
        self.noise = file.noise
        self.limits = file.limits
        try:
            model_path = resolve(file.robot.model, document.path.parent)
            self.robot = RobotModel.from_file(model_path, file.robot.actuators)
        except ModelError as error:
            raise document.error(["robot", "model"], str(error)) from error
        for i, frame in enumerate(file.robot.frames):
            self._checked(["robot", "frames", i], self.robot.kinematics.check, frame)
        self.hash = content_hash([document.plain, self.robot.description])
        self.action = self._action()
        self.state = self._state()
        self.conditions = self._conditions()
        if file.success is not None and file.success.over_last > self.horizon + 1:
            raise document.error(
                ["success", "over_last"],
                f"found {file.success.over_last}; must be at most {self.horizon + 1}, the number of states",
            )
        for condition in self.conditions:
            self.cost(condition.index)
        self._check_success()

    def condition(self, index: int) -> Condition:
        """A start condition.

        Raises:
            TaskError: there is no such condition.
        """
        if not 0 <= index < len(self.conditions):
            raise TaskError(
                f"{self.path.name}: no start condition {index}; there are {len(self.conditions)}, from 0"
            )
        return self.conditions[index]

    def backend(self) -> str:
        """The backend in use: what the file names, or Pinocchio when it models the whole robot."""
        if self._file.robot.backend != "auto":
            return self._file.robot.backend
        return "mujoco" if rigid_tree.unsupported(self.robot) else "pinocchio"

    def dynamics(self, backend: str | None = None) -> Dynamics:
        """The model planners use, in the robot's own state.

        Args:
            backend: "mujoco" or "pinocchio"; the task's own choice when None.

        Raises:
            TaskError: dt and the physics step do not fit, or the backend cannot model the robot.
        """
        robot = self._file.robot
        try:
            if (backend or self.backend()) == "pinocchio":
                return PinocchioDynamics(self.robot, self.dt, robot.substeps or 1, self.action)
            timestep = robot.timestep
            if robot.substeps is not None:
                timestep = self.dt / robot.substeps
            return MujocoDynamics(self.robot, self.dt, timestep, self.action)
        except MbplError as error:
            raise self._document.error(["robot"], str(error)) from error

    def cost(self, condition: int = 0) -> SumCost:
        """The cost from a start condition, in the robot's own state."""
        start = self.condition(condition)
        terms = []
        for i, term in enumerate(self._file.cost):
            try:
                terms.append(build_term(term, self.robot, self.action, start.state, start.target))
            except (MbplError, ValueError) as error:
                field = error.field if isinstance(error, InvalidFieldError) else "frame"
                key = field if hasattr(term, field) else "term"
                raise self._document.error(["cost", i, key], str(error)) from error
        return SumCost(terms, self.robot.state.tangent_size, self.action.size)

    def initial_actions(self, condition: int = 0, seed: int = 0) -> Array:
        """Actions a planner starts from (T, m), as the file says."""
        start = self.condition(condition)
        actions = np.zeros((self.horizon, self.action.size))
        if self.planner.initial_actions == "gravity":
            actions += self.robot.gravity(start.state[: self.robot.nq])
        if self.planner.initial_noise:
            noise = np.random.default_rng(seed).standard_normal(actions.shape)
            actions += self.planner.initial_noise * noise
        return np.clip(actions, self.action.lower, self.action.upper)

    def distances(self, states: Array, condition: int = 0) -> Array:
        """Distance that success is about at each state, m or rad; NaN when the task has no rule. (..., nx) → (...)."""
        rule = self._file.success
        x = np.asarray(states, dtype=np.float64)
        if rule is None:
            return np.full(x.shape[:-1], np.nan)
        flat = x.reshape(-1, x.shape[-1])
        if rule.frame is not None:
            target = self._success_target(condition)
            points = self.robot.kinematics.positions(rule.frame, flat[:, : self.robot.nq])
            out = np.linalg.norm(points - target, axis=1)
        else:
            columns = self.robot.state.indices("joint_positions", rule.joints)
            out = np.abs(wrap_angle(flat[:, columns] - np.array(rule.angles))).max(axis=1)
        return out.reshape(x.shape[:-1])

    def success(self, states: Array, condition: int = 0) -> Success:
        """Whether a trajectory (T+1, nx) of the robot's state meets the rule on its last states."""
        rule = self._file.success
        if rule is None:
            return Success(False, float("nan"), float("nan"), "")
        last = self.distances(states[-rule.over_last :], condition)
        worst = float(last.max())
        return Success(worst <= rule.within, worst, rule.within, "m" if rule.frame else "rad")

    @cached_property
    def success_frame(self) -> str | None:
        """The frame success is about; None when it is about joints, or there is no rule."""
        return self._file.success.frame if self._file.success is not None else None

    def task_state(self, robot_state: Array) -> Array:
        """x of `state` from the robot's own state: frame points added. (B, robot nx) → (B, nx)."""
        if self.state == self.robot.state:
            return np.asarray(robot_state)
        q, v = self.robot.split(np.asarray(robot_state))
        parts = []
        for entry in self._file.state:
            kind, frame = block_frame(entry)
            if frame is None:
                parts.append(q if kind == "joint_positions" else v)
                continue
            motion = self.robot.kinematics.motion(frame, q)
            velocity = np.einsum("bij,bj->bi", motion.jacobians[:, :3], v)
            parts.append(motion.positions if kind == "frame_position" else velocity)
        return np.concatenate(parts, axis=1)

    # --- building, with errors that name lines ---

    def _checked(self, keys: list[str | int], function, *arguments):  # type: ignore[no-untyped-def]
        try:
            return function(*arguments)
        except MbplError as error:
            raise self._document.error(keys, str(error)) from error

    def _state(self) -> StateDefinition:
        blocks: list[StateBlock] = []
        for i, entry in enumerate(self._file.state):
            kind, frame = block_frame(entry)
            if frame is None:
                blocks += [b for b in self.robot.state.blocks if b.kind == kind]
                continue
            self._checked(["state", i], self.robot.kinematics.check, frame)
            unit = "m" if kind == "frame_position" else "m/s"
            names = tuple(f"{frame}.{axis}" for axis in "xyz")
            blocks.append(StateBlock(kind, names, ("euclidean",) * 3, (unit,) * 3))
        return StateDefinition(tuple(blocks))

    def _action(self) -> ActionDefinition:
        base = self.robot.action
        effort = self._file.limits.effort
        if effort == "from_model":
            return base
        keys: list[str | int] = ["limits", "effort"]
        values = self._per_joint(keys, effort, base.size, "actuators")
        for i, name in enumerate(base.actuator_names):
            if values[i] > base.upper[i] or -values[i] < base.lower[i]:
                raise self._document.error(
                    keys,
                    f"{values[i]} {base.units[i]} for '{name}'; the model allows {base.lower[i]} to "
                    f"{base.upper[i]} ({self.robot.path.name})",
                )
        return ActionDefinition(
            base.actuator_names, base.joint_names, base.interface, base.units, -values, values
        )

    def velocity_limits(self) -> Array:
        """Limits (nv,), rad/s or m/s: the model's, or the task's where it is tighter."""
        given = self._file.limits.velocity
        model = self.robot.velocity_limits
        if given == "from_model":
            return model
        keys: list[str | int] = ["limits", "velocity"]
        values = self._per_joint(keys, given, self.robot.nv, "joints")
        over = np.flatnonzero(values > model)
        if over.size:
            i = int(over[0])
            raise self._document.error(
                keys, f"{values[i]} for '{self.robot.joint_names[i]}'; the model allows {model[i]}"
            )
        return values

    def _per_joint(self, keys: list[str | int], value: object, count: int, what: str) -> Array:
        values = np.full(count, value) if isinstance(value, float) else np.array(value)
        if len(values) != count:
            raise self._document.error(keys, f"{len(values)} numbers; must be {count}, one for each of the {what}")
        return values.astype(np.float64)

    def _conditions(self) -> tuple[Condition, ...]:
        out: list[Condition] = []
        groups = (("train", self._file.start.train), ("held_out", self._file.start.held_out))
        for group, starts in groups:
            for i, start in enumerate(starts):
                keys: list[str | int] = ["start", group, i]
                for name, count in (("positions", self.robot.nq), ("velocities", self.robot.nv)):
                    given = getattr(start, name)
                    if given is not None and len(given) != count:
                        raise self._document.error(
                            [*keys, name],
                            f"{len(given)} numbers; must be {count} ({', '.join(self.robot.joint_names)})",
                        )
                q = np.array(start.positions)
                v = np.zeros(self.robot.nv) if start.velocities is None else np.array(start.velocities)
                self._check_start(keys, q)
                target = start.target or self._file.target
                out.append(
                    Condition(
                        len(out),
                        start.name or f"{group} {i}",
                        group == "held_out",
                        np.concatenate([q, v]),
                        None if target is None else np.array(target),
                    )
                )
        return tuple(out)

    def _check_start(self, keys: list[str | int], q: Array) -> None:
        if not self.robot.is_one_number_per_joint:
            return
        outside = (q < self.robot.position_lower) | (q > self.robot.position_upper)
        for i in np.flatnonzero(outside):
            raise self._document.error(
                [*keys, "positions"],
                f"{q[i]} for '{self.robot.joint_names[i]}'; the model allows "
                f"{self.robot.position_lower[i]:.6g} to {self.robot.position_upper[i]:.6g}",
            )

    def _success_target(self, condition: int) -> Array:
        rule = self._file.success
        assert rule is not None  # noqa: S101 - callers checked
        if isinstance(rule.target, list):
            return np.array(rule.target)
        target = self.condition(condition).target
        if target is None:
            raise self._document.error(["success", "target"], "neither here nor at the start condition")
        return target

    def _check_success(self) -> None:
        rule = self._file.success
        if rule is None:
            return
        if rule.frame is not None:
            self._checked(["success", "frame"], self.robot.kinematics.check, rule.frame)
            for condition in self.conditions:
                self._success_target(condition.index)
        else:
            self._checked(
                ["success", "joints"], self.robot.state.indices, "joint_positions", rule.joints
            )


def load_task(name_or_path: str | Path) -> Task:
    """A task by name, or by the path of its YAML.

    Raises:
        TaskError: unknown, or wrong; the message names file, line and key.
    """
    return Task(TaskDocument(find_task(name_or_path)))
