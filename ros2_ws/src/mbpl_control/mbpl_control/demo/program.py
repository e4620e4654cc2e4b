"""What the demo does: which trials in which world, which swaps in motion, and what it promises of them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbpl_control.agents.mujoco import Disturbance
from mbpl_control.core import TaskError
from mbpl_control.tasks import Task

OPEN_LOOP, FEEDBACK, SAMPLED = "ilqr_open_loop", "ilqr_feedback", "ilqr_sampled"
HOLD, MPC = "hold", "ilqr_mpc"
#: What was learned: the controller of the first start condition, and the policy.
LEARNED, POLICY = "learned_0", "neural_policy"
#: Trials of the sampled law in the undisturbed world, which fill the tube its covariance predicts.
SAMPLES = 4

#: The push: sideways at the body that carries the task's frame, this fraction of the robot's weight, ...
PUSH_WEIGHT = 0.3
#: ... when this fraction of the horizon is over, so that what is left must be enough to recover, ...
PUSH_AT = 0.6
#: ... for so long, s.
PUSH_DURATION = 0.15
#: The model error: all masses and inertias of the simulated robot times this; the planner does not know.
MASS_SCALE = 1.2

#: A swap may change a command by this fraction of its limit.
SWAP_LIMIT = 0.05
#: Where something went wrong, feedback may end this many times as far from the target as the task demands.
DISTURBED_FACTOR = 2.0
#: What was learned without a model may end this many times as far, from starts it was learned from.
LEARNED_FACTOR = 2.0
#: Iterations of guided policy search, and trials of each start in one.
ITERATIONS, LEARNING_SAMPLES = 7, 3


@dataclass(frozen=True)
class World:
    """What is done to the robot in a trial.

    Attributes:
        name: "none", "push" or "model error".
        mass_scale: masses and inertias of the simulated robot, times the model's.
        push: a push during the trial; None for none.
    """

    name: str
    mass_scale: float = 1.0
    push: Disturbance | None = None

    @property
    def text(self) -> str:
        """In words, with figures."""
        if self.push is not None:
            force = np.linalg.norm(self.push.wrench[:3])
            return f"push of {force:.0f} N at {self.push.delay:g} s for {self.push.duration:g} s"
        if self.mass_scale != 1.0:
            return f"masses {100.0 * (self.mass_scale - 1.0):+.0f} %"
        return "none"

    @property
    def short(self) -> str:
        """In a word and a figure."""
        if self.push is not None:
            return f"push {np.linalg.norm(self.push.wrench[:3]):.0f} N"
        return f"mass {100.0 * (self.mass_scale - 1.0):+.0f} %" if self.mass_scale != 1.0 else "none"


@dataclass(frozen=True)
class TrialSpec:
    """One trial of the demo.

    Attributes:
        controller: of the manager.
        world: what is done to the robot.
        condition: start condition of the task.
        seed: of all noise.
        file: that holds the controller; None for one of the launch file's.
    """

    controller: str
    world: World
    condition: int
    seed: int
    file: Path | None = None

    @property
    def name(self) -> str:
        """Of the trial and of its bag's directory."""
        start = f"-start{self.condition}" if self.condition else ""
        return f"{self.controller}-{self.world.name.replace(' ', '_')}-{self.seed}{start}"

    @property
    def command(self) -> str:
        """The shell command that runs this trial again on a running graph."""
        what = self.controller if self.file is None else f"--controller {shlex.quote(str(self.file))} --agent ros"
        words = ["mbpl trial", what, f"--condition {self.condition}", f"--seed {self.seed}"]
        if self.world.push is not None:
            push = self.world.push
            force = " ".join(f"{f:g}" for f in push.wrench[:3])
            words.append(
                f"--push '{force}' --push-body {push.body} --push-at {push.delay:g} --push-for {push.duration:g}"
            )
        if self.world.mass_scale != 1.0:
            words.append(f"--mass-scale {self.world.mass_scale:g}")
        return " ".join(words)


@dataclass(frozen=True)
class SwapSpec:
    """Controllers taking over from each other while the robot moves.

    Attributes:
        name: of the bag's directory.
        condition: start condition of the task.
        steps: (s of simulated time since the first swap, controller that takes over then), from hold at rest.
        duration: s of simulated time after the first swap until the recording ends.
    """

    name: str
    condition: int
    steps: tuple[tuple[float, str], ...]
    duration: float


def worlds(task: Task) -> tuple[World, World, World]:
    """Undisturbed, with a push, with a model error.

    Raises:
        TaskError: the task's success is not about a frame, so there is no distance to a target.
    """
    frame = task.success_frame
    if frame is None:
        raise TaskError(
            f"{task.path.name}: the demo shows how far a frame ends from its target, and the success of "
            f"'{task.name}' is about joints; try arm_reach"
        )
    model = task.robot.mujoco_model()
    force = round(PUSH_WEIGHT * float(model.body_subtreemass[0]) * abs(float(model.opt.gravity[2])))
    wrench = np.array([0.0, max(force, 1), 0.0, 0.0, 0.0, 0.0])
    at = round(PUSH_AT * task.horizon * task.dt, 3)
    push = Disturbance(task.robot.kinematics.body(frame), wrench, at, PUSH_DURATION)
    return World("none"), World("push", push=push), World("model error", mass_scale=MASS_SCALE)


def trial_specs(task: Task, seed: int) -> tuple[TrialSpec, ...]:
    """The trials in their order, all from the first start condition."""
    none, push, error = worlds(task)
    order = [(OPEN_LOOP, none, seed), (FEEDBACK, none, seed)]
    order += [(SAMPLED, none, seed + i) for i in range(SAMPLES)]
    order += [(controller, world, seed) for world in (push, error) for controller in (OPEN_LOOP, FEEDBACK, SAMPLED)]
    return tuple(TrialSpec(controller, world, 0, s) for controller, world, s in order)


def swap_specs(task: Task) -> tuple[SwapSpec, ...]:
    """Runs with swaps among hold, open loop, feedback and MPC while the robot moves."""
    chain = ((0.0, OPEN_LOOP), (0.08, FEEDBACK), (0.18, MPC), (0.32, HOLD))
    back_and_forth = ((0.0, MPC), (0.12, HOLD), (0.24, MPC), (0.4, HOLD))
    return (
        _swaps(task, "swaps-chain", 0, chain),
        _swaps(task, "swaps-back_and_forth", min(1, len(task.conditions) - 1), back_and_forth),
    )


def learned_trial_specs(task: Task, seed: int, controller: Path, policy: Path) -> tuple[TrialSpec, ...]:
    """Undisturbed trials of what was learned: the controller where it was, the policy from every start condition.

    Args:
        task: the task.
        seed: of all noise.
        controller: file of the controller of the first start condition.
        policy: file of the policy.
    """
    none = World("none")
    of_policy = [TrialSpec(POLICY, none, c.index, seed, policy) for c in task.conditions]
    return (TrialSpec(LEARNED, none, 0, seed, controller), *of_policy)


def learned_swap_specs(task: Task) -> tuple[SwapSpec, ...]:
    """A run in which what was learned takes over while the robot moves."""
    return (_swaps(task, "swaps-learned", 0, ((0.0, LEARNED), (0.16, POLICY), (0.4, HOLD))),)


def _swaps(task: Task, name: str, condition: int, steps: tuple[tuple[float, str], ...]) -> SwapSpec:
    """Steps at fractions of the horizon, and what is seen of the last."""
    horizon = task.horizon * task.dt
    times = tuple((fraction * horizon, controller) for fraction, controller in steps)
    return SwapSpec(name, condition, times, times[-1][0] + 0.5)
