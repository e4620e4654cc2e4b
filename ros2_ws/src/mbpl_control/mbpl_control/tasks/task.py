"""A task: robot, horizon, start conditions, cost, limits and what counts as success."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import (
    DefinitionMismatchError,
    InvalidFieldError,
    MbplError,
    ModelError,
    TaskError,
)
from mbpl_control.core.hashing import content_hash
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.validation import Array, float_array
from mbpl_control.core.yaml_document import Keys
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.costs.term import Term, ramp_weights
from mbpl_control.models import rigid_tree
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.models.kinematics import FrameMotion
from mbpl_control.models.mujoco_dynamics import MujocoDynamics, substeps_of
from mbpl_control.models.pinocchio_dynamics import PinocchioDynamics
from mbpl_control.models.resources import resolve
from mbpl_control.models.robot import RobotModel
from mbpl_control.tasks.catalog import find_task
from mbpl_control.tasks.conditions import Condition, read_conditions
from mbpl_control.tasks.observation import Observation
from mbpl_control.tasks.reading import TaskDocument
from mbpl_control.tasks.schema import PlannerSection, block_frame
from mbpl_control.tasks.success import Success, SuccessRule
from mbpl_control.tasks.terms import build_term


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
        observation: what a policy may see; the whole state unless the file names less.
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
        self.learning = file.learning
        self.limits = file.limits
        try:
            model_path = resolve(file.robot.model, document.home("robot").path.parent)
            self.robot = RobotModel.from_file(model_path, file.robot.actuators)
        except ModelError as error:
            raise document.error(["robot", "model"], str(error)) from error
        for i, frame in enumerate(file.robot.frames):
            document.checked(["robot", "frames", i], self.robot.kinematics.check, frame)
        # as the schema reads it: 10 and 10.0, or one key before another, are the same task; how it is learned does not
        # change what a trial or a law of it is
        said = file.model_dump(mode="json", exclude_unset=True, exclude={"extends", "learning"})
        self.hash = content_hash([said, self.robot.description])
        self.action = self._action()
        self.state = self._definition("state", file.state)
        self._blocks = [block_frame(entry) for entry in file.state]
        self.observation = self.state
        if file.observation is not None:
            self.observation = self._definition("observation", file.observation)
        self.velocity_limits()
        self.effort_rate_limits()
        self._check_soft_zone()
        self.conditions = read_conditions(document, self.robot)
        self._observation = Observation(document, self.state, self.observation, self.conditions)
        self._rule = None if file.success is None else SuccessRule(document, self.robot, self.conditions)
        self._check_backend()
        #: terms of the cost by their number, for each start condition and definition of the state
        self._terms: dict[tuple[int, str], dict[int, Term]] = {}
        for condition in self.conditions:
            self.cost(condition.index)

    def condition(self, index: int) -> Condition:
        """A start condition.

        Raises:
            TaskError: there is no such condition.
        """
        if not 0 <= index < len(self.conditions):
            raise TaskError(f"{self.path.name}: no start condition {index}; there are {len(self.conditions)}, from 0")
        return self.conditions[index]

    def backend(self) -> str:
        """The backend in use: what the file names, or the quickest that models the whole robot on this machine."""
        named = self._file.robot.backend
        if named in ("mujoco", "pinocchio"):
            return named
        if not self._is_rigid():
            return "mujoco"
        return "pinocchio" if self.why_not_generated() else "generated"

    def why_not_generated(self) -> str:
        """Why the robot is not modelled by kernels of its own although the file would have it so; empty otherwise."""
        if self._file.robot.backend in ("mujoco", "pinocchio") or not self._is_rigid():
            return ""
        # loads the compiler
        from mbpl_control.models.rigid_dynamics import why_not_generated

        return why_not_generated(self.robot)

    def _is_rigid(self) -> bool:
        """Whether the planner's model is a rigid tree, which models of it can only be if nothing is dropped."""
        named = self._file.robot.backend
        return named in ("pinocchio", "generated") or (named == "auto" and not rigid_tree.unsupported(self.robot))

    def dynamics(self, backend: str | None = None, condition: int = 0) -> Dynamics:
        """The model planners use, in the robot's own state.

        Args:
            backend: "mujoco", "pinocchio" or "generated"; the task's own choice when None. Kernels that are not
                compiled give way to Pinocchio's bindings.
            condition: start condition that says where bodies of the scene are.

        Raises:
            TaskError: no such condition, dt and the physics step do not fit, or the backend cannot model the robot.
        """
        robot, scene = self._file.robot, self.condition(condition).bodies
        try:
            if backend == "mujoco" or (backend is None and not self._is_rigid()):
                timestep = robot.timestep if robot.substeps is None else self.dt / robot.substeps
                return MujocoDynamics(self.robot, self.dt, timestep, self.action, bodies=scene)
            if (backend or self._file.robot.backend) == "pinocchio":
                return PinocchioDynamics(self.robot, self.dt, self._substeps(), self.action)
            from mbpl_control.models.rigid_dynamics import rigid_dynamics

            return rigid_dynamics(self.robot, self.dt, self._substeps(), self.action)
        except InvalidFieldError as error:
            raise self._document.error(["dt"], str(error)) from error
        except MbplError as error:
            raise self._document.error(["robot", "model"], str(error)) from error

    def _substeps(self) -> int:
        """Integration steps per step of Pinocchio; one unless the file says otherwise."""
        robot = self._file.robot
        if robot.timestep is not None:
            return substeps_of("PinocchioDynamics", self.dt, robot.timestep)
        return robot.substeps or 1

    def _check_backend(self) -> None:
        """Whether `dynamics` will work, without the time that compiled models take to load."""
        if not self._is_rigid():
            self.dynamics()
            return
        self._document.checked(["robot", "backend"], rigid_tree.check, self.robot)
        self._document.checked(["robot", "timestep"], self._substeps)

    def cost(self, condition: int = 0, target: Array | None = None) -> SumCost:
        """The cost from a start condition, in the robot's own state.

        Args:
            condition: of the start.
            target: (3,) m, that counts in place of the condition's.

        Raises:
            InvalidFieldError: the task has no target, or this one is no point.
        """
        start = self.condition(condition)
        if target is not None:
            if start.target is None:
                raise InvalidFieldError("Task", "target", "a point", "none: the task has no target")
            start = replace(start, target=float_array("Task", "target", target, (3,)))
        return self._cost(start, self.robot.state)

    def learning_cost(self, condition: int = 0) -> SumCost:
        """The same cost as a function of the task's own state x, for learners that know no kinematics.

        A frame whose position x holds is those three numbers; any other follows from the joints that x holds.

        Raises:
            TaskError: no such condition, or x lacks a joint that a term needs.
        """
        return self._cost(self.condition(condition), self.state)

    def _cost(self, start: Condition, state: StateDefinition) -> SumCost:
        # only terms about the condition's target are made anew when that moves, which may be as often as a plan is made
        known = self._terms.setdefault((start.index, state.hash), {})
        terms = []
        for i, term in enumerate(self._file.cost):
            if i in known:
                terms.append(known[i])
                continue
            try:
                terms.append(build_term(term, self.robot, state, self.action, start))
                ramp_weights(term.ramp, self.horizon)
            except MbplError as error:
                frame = "frames" if getattr(term, "frames", None) else "frame"
                fields = {DefinitionMismatchError: "joints", ModelError: frame}
                field = error.field if isinstance(error, InvalidFieldError) else fields.get(type(error), "term")
                # a cost calls its weights what the file calls weight
                key = next((k for k in (field, field.rstrip("s")) if hasattr(term, k)), "term")
                raise self._document.error(["cost", i, key], str(error)) from error
            if getattr(term, "target", None) != "condition":
                known[i] = terms[-1]
        return SumCost(terms, state.tangent_size, self.action.size)

    def initial_actions(self, condition: int = 0, seed: int = 0) -> Array:
        """Actions a planner starts from (T, m), as the file says."""
        start = self.condition(condition)
        actions = np.zeros((self.horizon, self.action.size))
        if self.planner.initial_actions == "gravity":
            actions += self.robot.holding_action(start.state[: self.robot.nq])
        if self.planner.initial_noise:
            noise = np.random.default_rng(seed).standard_normal(actions.shape)
            actions += self.planner.initial_noise * noise
        return np.clip(actions, self.action.lower, self.action.upper)

    def distances(self, states: Array, condition: int = 0) -> Array:
        """Distance that success is about at each state, m or rad; NaN when the task has no rule. (..., nx) → (...)."""
        x = np.asarray(states, dtype=np.float64)
        if self._rule is None:
            return np.full(x.shape[:-1], np.nan)
        return self._rule.distances(x.reshape(-1, x.shape[-1]), condition).reshape(x.shape[:-1])

    def success(self, states: Array, condition: int = 0) -> Success:
        """Whether a trajectory (T+1, nx) of the robot's state meets the rule on its last states."""
        if self._rule is None:
            return Success(False, float("nan"), float("nan"), "")
        return self._rule.judge(np.asarray(states, dtype=np.float64), condition)

    @property
    def has_rule(self) -> bool:
        """Whether the task says when a trial counts."""
        return self._rule is not None

    @property
    def success_frame(self) -> str | None:
        """The frame success is about; None when it is about joints, or there is no rule."""
        return None if self._rule is None else self._rule.frame

    def task_state(self, robot_state: Array) -> Array:
        """State x of `state` from the robot's own state: frame points added. (B, robot nx) → (B, nx)."""
        if self.state == self.robot.state:
            return np.asarray(robot_state)
        q, v = self.robot.split(np.asarray(robot_state))
        motions: dict[str, FrameMotion] = {}
        parts = []
        for kind, frame in self._blocks:
            if frame is None:
                parts.append(q if kind == "joint_positions" else v)
                continue
            if frame not in motions:
                motions[frame] = self.robot.kinematics.motion(frame, q)
            motion = motions[frame]
            if kind == "frame_position":
                parts.append(motion.positions)
            else:
                parts.append((motion.jacobians[:, :3] @ v[..., None])[..., 0])
        return np.concatenate(parts, axis=1)

    def observe(self, states: Array, condition: int) -> Array:
        """What a policy sees at states x from a start condition, o = M x + b. (..., nx) → (..., no).

        Raises:
            TaskError: no such condition.
        """
        return self._observation.observe(states, self.condition(condition).index)

    def observation_map(self, condition: int) -> tuple[Array, Array]:
        """M (no, nx), the derivative of what a policy sees, and b (no,).

        Raises:
            TaskError: no such condition.
        """
        return self._observation.map(self.condition(condition).index)

    # --- building, with errors that name lines ---

    def _definition(self, key: str, entries: list[str]) -> StateDefinition:
        blocks: list[StateBlock] = []
        for i, entry in enumerate(entries):
            kind, frame = block_frame(entry)
            if frame is None:
                blocks += [b for b in self.robot.state.blocks if b.kind == kind]
                continue
            self._document.checked([key, i], self.robot.kinematics.check, frame)
            unit = "m/s" if kind == "frame_velocity" else "m"
            names = tuple(f"{frame}.{axis}" for axis in "xyz")
            blocks.append(StateBlock(kind, names, ("euclidean",) * 3, (unit,) * 3))
        return StateDefinition(tuple(blocks))

    def _action(self) -> ActionDefinition:
        base = self.robot.action
        effort = self._file.limits.effort
        if effort == "from_model":
            return base
        keys: Keys = ["limits", "effort"]
        values = self._per_joint(keys, effort, base.size, "actuators")
        for i, name in enumerate(base.actuator_names):
            if values[i] > base.upper[i] or -values[i] < base.lower[i]:
                raise self._document.error(
                    keys,
                    f"{values[i]} {base.units[i]} for '{name}'; the model allows {base.lower[i]} to "
                    f"{base.upper[i]} ({self.robot.path.name})",
                )
        return ActionDefinition(base.actuator_names, base.joint_names, base.interface, base.units, -values, values)

    def velocity_limits(self) -> Array:
        """Limits (nv,), rad/s or m/s: the model's, or the task's where it is tighter."""
        given = self._file.limits.velocity
        model = self.robot.velocity_limits
        if given == "from_model":
            return model
        keys: Keys = ["limits", "velocity"]
        values = self._per_joint(keys, given, self.robot.nv, "joints")
        over = np.flatnonzero(values > model)
        if over.size:
            i = int(over[0])
            raise self._document.error(
                keys, f"{values[i]} for '{self.robot.joint_names[i]}'; the model allows {model[i]}"
            )
        return values

    def effort_rate_limits(self) -> Array | None:
        """Limits (m,) of the rate of the action, its unit per second; None when the task gives none."""
        given = self._file.limits.effort_rate
        if given is None:
            return None
        return self._per_joint(["limits", "effort_rate"], given, self.action.size, "actuators")

    def _per_joint(self, keys: Keys, value: object, count: int, what: str) -> Array:
        values = np.full(count, value) if isinstance(value, float) else np.array(value)
        if len(values) != count:
            raise self._document.error(keys, f"{len(values)} numbers; must be {count}, one for each of the {what}")
        return values.astype(np.float64)

    def _check_soft_zone(self) -> None:
        """A zone must leave room between the two limits of every driven joint."""
        zone = self._file.limits.position_soft_zone
        if zone is None or zone == "none":
            return
        robot = self.robot
        half = 0.5 * (robot.position_upper - robot.position_lower)[robot.actuated]
        over = np.flatnonzero(zone >= half)
        if over.size:
            i = int(over[0])
            raise self._document.error(
                ["limits", "position_soft_zone"],
                f"{zone} for '{self.action.joint_names[i]}'; must be below half its range, {half[i]:.6g}",
            )


def load_task(name_or_path: str | Path) -> Task:
    """A task by name, or by the path of its YAML.

    Raises:
        TaskError: unknown, or wrong; the message names file, line and key.
    """
    return Task(TaskDocument(find_task(name_or_path)))
