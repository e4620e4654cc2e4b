"""Planners on a learned model, or on the task's own, as feedback of a task's state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbpl_control.core import Trial
from mbpl_control.core.errors import DefinitionMismatchError, InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.learned_dynamics import transitions_of
from mbpl_control.mbrl.learned_model import LearnedModel
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics
from mbpl_control.mbrl.planning.feedback import PlannerFeedback
from mbpl_control.mbrl.planning.ilqr import ILQRPlannerOptions
from mbpl_control.mbrl.planning.registry import PLANNERS, build_planner
from mbpl_control.tasks import Task, load_task
from mbpl_control.trajopt.ilqr import ILQR
from mbpl_control.trajopt.planning import task_options

TASK = "rotary_pendulum_balance"


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task(TASK)


@pytest.fixture(scope="module")
def model(task: Task) -> LearnedModel:
    """A linear model of what the robot's own model does around the start of the task."""
    rng, robot = np.random.default_rng(0), task.dynamics()
    trials = []
    for _ in range(60):
        actions = 0.3 * rng.standard_normal((5, task.action.size)).clip(-2.0, 2.0)
        start = task.condition(0).state + 0.05 * rng.standard_normal(task.state.size)
        trials.append(Trial(task.state, task.action, task.dt, robot.rollout(start, actions), actions))
    learned = MixtureDynamics(task.state.size, task.action.size, seed=0)
    data = transitions_of(trials)
    assert len(data) == 300
    learned.learn(data)
    return LearnedModel(learned, task.state, task.action, task.dt)


@pytest.mark.parametrize("planner", sorted(PLANNERS))
def test_an_episode_is_answered_by_the_same_knots_each_time_it_begins_anew(
    model: LearnedModel, task: Task, planner: str
) -> None:
    def episode(feedback: PlannerFeedback) -> list[Array]:
        states = [task.condition(0).state + 0.01 * step for step in range(3)]
        return [feedback.at(x, step).nominal_action for step, x in enumerate(states)]

    used = PlannerFeedback(model, task, 0, planner, seed=5)
    first = episode(used)
    np.testing.assert_array_equal(episode(used), first)
    np.testing.assert_array_equal(episode(PlannerFeedback(model, task, 0, planner, seed=5)), first)
    assert (np.array(first) >= task.action.lower).all() and (np.array(first) <= task.action.upper).all()


def test_a_state_that_comes_again_in_the_same_step_gets_the_same_knot(model: LearnedModel, task: Task) -> None:
    feedback = PlannerFeedback(model, task, 0, "mppi")
    x = task.condition(0).state
    assert feedback.at(x, 3) is feedback.at(x, 3)
    assert feedback.at(x, 4) is not feedback.at(x, 3)


def test_the_knot_of_ilqr_is_the_first_of_its_plan_with_its_gain(model: LearnedModel, task: Task) -> None:
    x = task.condition(0).state
    law = PlannerFeedback(model, task, 0, "ilqr").at(x, 0)
    horizon = ILQRPlannerOptions().horizon
    cost = task.learning_cost(0).window(0, task.horizon)
    exact = ILQR(model, cost, task_options(task)).solve(x, np.zeros((horizon, task.action.size)))
    np.testing.assert_allclose(law.nominal_action, exact.actions[0], atol=1e-3)
    np.testing.assert_allclose(law.gain, exact.gains[0], rtol=1e-2, atol=1e-2)
    np.testing.assert_array_equal(law.reference_state, x)


#: A ball joint that nothing drives, and a driven hinge further on.
BALL = """
<mujoco model="ball">
  <compiler autolimits="true"/>
  <option timestep="0.01" integrator="implicitfast"/>
  <default><geom contype="0" conaffinity="0" density="500"/></default>
  <worldbody>
    <body>
      <joint name="shoulder" type="ball" damping="0.3"/>
      <geom type="capsule" fromto="0 0 0 0.2 0 -0.3" size="0.03"/>
      <body pos="0.2 0 -0.3">
        <joint name="elbow" axis="0 1 0" damping="0.2"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="elbow" ctrlrange="-3 3"/></actuator>
</mujoco>
"""


@pytest.mark.parametrize(("planner", "backend"), [*((name, None) for name in sorted(PLANNERS)), ("icem", "mujoco")])
def test_on_the_tasks_own_model_a_planner_balances_the_rod_without_having_learned_anything(
    task: Task, planner: str, backend: str | None
) -> None:
    own = task.dynamics(backend)
    feedback = PlannerFeedback(own, task, 1, planner, seed=3)
    states = [task.condition(1).state]
    for step in range(task.horizon):
        u = feedback.at(states[-1], step).nominal_action
        states.append(own.step(states[-1][None], u[None])[0])
    assert task.success(np.array(states), 1).ok


@pytest.mark.parametrize("planner", ["icem", "ilqr"])
def test_a_knot_on_the_tasks_own_model_is_of_the_robots_own_state(planner: str) -> None:
    task = load_task("reacher_2link")
    assert task.state != task.robot.state
    start = task.condition(0).state
    law = PlannerFeedback(task.dynamics("pinocchio"), task, 0, planner).at(task.task_state(start[None])[0], 0)
    assert law.state == task.robot.state and law.gain.shape == (2, 4)
    np.testing.assert_array_equal(law.reference_state, start)


@pytest.mark.parametrize("planner", sorted(PLANNERS))
def test_states_that_hold_a_rotation_are_planned_in_on_the_robots_own_model(make_task, planner: str) -> None:
    cost = [{"term": "state", "block": "velocities", "weight": 1.0}, {"term": "action", "weight": 1e-3}]
    task = make_task(BALL, [0.8, 0.6, 0.0, 0.0, 0.3], cost=cost)
    model, start = task.dynamics(), task.condition(0).state
    made = build_planner(planner, model, task.cost(0), task.horizon)
    rng = np.random.default_rng(0)
    for step in range(2):
        plan = made.plan(start, rng, step)
    assert plan.gains.shape[1:] == (1, 8)
    followed = model.rollout(start, plan.actions)
    np.testing.assert_allclose(plan.states, followed, atol=1e-9)
    assert plan.cost == pytest.approx(task.cost(0).window(1, task.horizon).evaluate(followed, plan.actions).sum())


def test_a_model_of_another_robot_or_step_is_refused(model: LearnedModel, task: Task) -> None:
    slower = LearnedModel(model.learned, model.state, model.action, 2.0 * task.dt)
    with pytest.raises(DefinitionMismatchError, match="a step of the model lasts"):
        PlannerFeedback(slower, task, 0, "icem")
    other = LearnedModel(model.learned, model.state, replace(model.action, joint_names=("wheel",)), task.dt)
    with pytest.raises(DefinitionMismatchError, match="joint_names"):
        PlannerFeedback(other, task, 0, "icem")
    arm = load_task("arm_reach")
    with pytest.raises(DefinitionMismatchError, match="the model is of"):
        PlannerFeedback(model, arm, 0, "icem")
    with pytest.raises(InvalidFieldError, match="at least 1 trial"):
        transitions_of([])
