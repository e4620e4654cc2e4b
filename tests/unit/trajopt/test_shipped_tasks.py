"""The tasks that ship, from every start condition: planned, run with feedback, judged by their own rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbpl_control.agents import Disturbance, MujocoAgent, SimulationOptions
from mbpl_control.core import ExecutionMode
from mbpl_control.tasks import load_task
from mbpl_control.trajopt.planning import plan_task, task_controller

#: Number of start conditions, training and held out; the first of each is solved by the command's own tests.
CONDITIONS = {
    "pendulum_swingup": 3,
    "cartpole_swingup": 3,
    "acrobot_swingup": 3,
    "rotary_pendulum_balance": 4,
    "reacher_2link": 6,
    "puck_push": 6,
    "arm_reach": 20,
    "panda_reach": 3,
}


@pytest.mark.parametrize(("name", "condition"), [(n, c) for n, count in CONDITIONS.items() for c in range(1, count)])
def test_every_start_condition_is_solved_and_succeeds_with_feedback(
    task_files: Path, name: str, condition: int
) -> None:
    task = load_task(task_files / f"{name}.yaml")
    assert len(task.conditions) == CONDITIONS[name]
    plan = plan_task(task, condition)
    assert plan.converged, plan.summary()
    trial = MujocoAgent(task).run(task_controller(task, plan), ExecutionMode.MEAN, condition, 0)
    assert trial.stop_reason == "completed"
    assert trial.success
    if name.endswith("swingup"):
        # upright within 0.05 rad for the last half second
        upright = task.distances(trial.states[-26:], condition)
        assert upright.max() < 0.05


@pytest.mark.parametrize("mass", [0.8, 1.2])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_arm_ends_within_two_centimetres_though_it_is_pushed_and_its_masses_are_wrong(
    task_files: Path, axis: int, mass: float
) -> None:
    task = load_task(task_files / "arm_reach.yaml")
    law = task_controller(task, plan_task(task))
    wrench = np.zeros(6)
    wrench[axis] = 40.0
    world = SimulationOptions(mass_scale=mass, position_noise=1e-4, velocity_noise=2e-3)
    trials = {
        mode: MujocoAgent(task, world, disturbances=[Disturbance("tool", wrench, 1.2, 0.15)]).run(law, mode, 0, 0)
        for mode in (ExecutionMode.MEAN, ExecutionMode.OPEN_LOOP)
    }
    ends = {mode: float(task.distances(trial.states, 0)[-1]) for mode, trial in trials.items()}
    assert ends[ExecutionMode.MEAN] < 0.02
    assert ends[ExecutionMode.OPEN_LOOP] > 0.1
