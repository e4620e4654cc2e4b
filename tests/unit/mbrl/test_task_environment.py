"""Tasks as environments of Gymnasium: trials to the last bit, paid by the task's cost."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core import ExecutionMode, InvalidFieldError, LinearGaussianController, TaskError
from mbpl_control.core.errors import RefusedError
from mbpl_control.mbrl.task_environment import TaskEnvironment
from mbpl_control.tasks import Task, load_task

TASKS = ("cartpole_swingup", "reacher_2link", "arm_reach", "rotary_pendulum_balance")


def moderate_actions(task: Task, seed: int) -> np.ndarray:
    """Smooth actions well within the limits (T, m), around what holds the first start."""
    rng = np.random.default_rng(seed)
    held = task.robot.holding_action(task.conditions[0].state[: task.robot.nq])
    width = 0.15 * (task.action.upper - task.action.lower)
    phase = rng.uniform(0.0, 6.3, task.action.size)
    waves = np.sin(0.1 * np.arange(task.horizon)[:, None] + phase)
    return np.clip(held + width * waves, task.action.lower, task.action.upper)


def open_loop(task: Task, actions: np.ndarray) -> LinearGaussianController:
    """A law of these actions and nothing else."""
    steps, nx, m = task.horizon, task.state.size, task.action.size
    states = np.tile(task.task_state(task.conditions[0].state[None]), (steps + 1, 1))
    return LinearGaussianController(
        task.state,
        task.action,
        task.dt,
        nominal_states=states,
        nominal_actions=actions,
        gains=np.zeros((steps, m, nx)),
        feedforward=np.zeros((steps, m)),
        covariances=np.zeros((steps, m, m)),
        execution="zero_order",
    )


@pytest.mark.parametrize("name", TASKS)
def test_an_episode_is_the_trial_of_the_same_actions_and_pays_what_the_trial_costs(name: str, task_files: Path) -> None:
    task = load_task(task_files / f"{name}.yaml")
    environment = TaskEnvironment(task)
    actions = moderate_actions(task, 3)
    observation, begun = environment.reset(seed=5, options={"condition": 0})
    assert begun["condition"] == 0
    found, rewards, applied = [observation], [], []
    for action in actions:
        observation, reward, ended, cut, info = environment.step(action)
        found.append(observation)
        rewards.append(reward)
        applied.append(info["applied"])
        assert not ended
    assert cut and len(rewards) == task.horizon
    agent = AgentRecipe.in_lockstep(task).build()
    trial = agent.run(open_loop(task, actions), ExecutionMode.OPEN_LOOP, 0, begun["seed"])
    np.testing.assert_array_equal(np.array(found), environment.view.of(trial.states, 0))
    np.testing.assert_array_equal(np.array(applied), trial.actions)
    assert sum(rewards) == pytest.approx(-trial.cost, abs=1e-9 * max(1.0, trial.cost), rel=0.0)
    assert info["success"] == trial.success
    # step by step, too, with the final cost in the last step
    steps = np.append(trial.costs[:-2], trial.costs[-2:].sum())
    np.testing.assert_allclose(rewards, -steps, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("name", TASKS)
def test_gymnasium_finds_nothing_wrong(name: str, features: bool, task_files: Path) -> None:
    environment = TaskEnvironment(task_files / f"{name}.yaml", features=features)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # it looks at what is registered, and this is not: nobody makes it by name here
        warnings.filterwarnings("ignore", message=".*not able to test alternative render modes.*")
        # a state has no limits, and actions have the robot's units
        warnings.filterwarnings("ignore", message=".*(infinity|symmetric and normalized).*")
        check_env(environment, skip_render_check=True)


def test_the_same_seed_gives_the_same_episode_and_another_seed_another(balance: Task) -> None:
    def episode(seed: int) -> bytes:
        environment = TaskEnvironment(balance)
        parts = [environment.reset(seed=seed)[0]]
        for action in moderate_actions(balance, 0)[:10]:
            parts.append(environment.step(action)[0])
        return np.array(parts).tobytes()

    assert episode(1) == episode(1)
    assert len({episode(seed) for seed in range(12)}) >= 3


def test_starts_are_drawn_from_training_and_any_can_be_named(balance: Task) -> None:
    environment = TaskEnvironment(balance)
    drawn = {environment.reset(seed=seed)[1]["condition"] for seed in range(40)}
    assert drawn == {0, 1, 2}
    held_out, info = environment.reset(seed=0, options={"condition": 3})
    assert info["condition"] == 3
    np.testing.assert_array_equal(held_out[: balance.robot.nq], balance.condition(3).state[: balance.robot.nq])


def test_targets_are_seen_where_starts_differ_in_them(task_files: Path) -> None:
    reacher = TaskEnvironment(task_files / "reacher_2link.yaml")
    seen = [reacher.reset(seed=0, options={"condition": c})[0] for c in range(4)]
    tips = reacher.task.task_state(np.array([c.state for c in reacher.task.conditions[:4]]))[:, 4:7]
    targets = np.array([c.target for c in reacher.task.conditions[:4]])
    np.testing.assert_allclose([o[4:7] for o in seen], tips - targets, atol=1e-12)
    # the arm's own file says the same in its own words, and a policy of the graph sees that
    arm = TaskEnvironment(task_files / "arm_reach.yaml")
    assert arm.view.definition == arm.task.observation
    assert TaskEnvironment(task_files / "cartpole_swingup.yaml").view.definition.blocks[0].kind == "joint_positions"


def test_a_task_whose_targets_nobody_could_see_is_refused_and_one_start_of_it_is_not(task_files: Path) -> None:
    with pytest.raises(TaskError, match=r"puck_push.yaml: what its start conditions cost differs .* choose one start"):
        TaskEnvironment(task_files / "puck_push.yaml")
    TaskEnvironment(task_files / "puck_push.yaml", conditions=[1]).reset(seed=0)


def test_angles_that_wind_are_shown_as_sine_and_cosine_where_that_is_asked_for(task_files: Path) -> None:
    environment = TaskEnvironment(task_files / "cartpole_swingup.yaml", features=True)
    observation, _ = environment.reset(seed=0, options={"condition": 1})
    # slider, two velocities, then sine and cosine of the hinge
    np.testing.assert_allclose(observation, [0.4, 0.0, 0.0, np.sin(0.2), np.cos(0.2)], atol=1e-12)


def test_what_is_wrong_with_a_call_is_said(balance: Task) -> None:
    environment = TaskEnvironment(balance)
    with pytest.raises(RefusedError, match="no trial is under way: call reset"):
        environment.step(np.zeros(1))
    with pytest.raises(InvalidFieldError, match="options: found speed; must be condition alone"):
        environment.reset(options={"speed": 2})
    with pytest.raises(TaskError, match="no start condition 9"):
        environment.reset(options={"condition": 9})
    environment.reset(seed=0)
    upper = balance.action.upper
    with pytest.raises(InvalidFieldError, match=r"action of '\w+': found .*; must be"):
        environment.step(1.1 * upper)
    with pytest.raises(InvalidFieldError, match="finite"):
        environment.step(np.array([np.nan]))
    environment.step(upper * (1.0 + 1e-7))
    with pytest.raises(InvalidFieldError, match="conditions: found none"):
        TaskEnvironment(balance, conditions=[])


DIVERGING = """<mujoco><option timestep="0.01" integrator="Euler"/><worldbody><body name="a">
<joint name="x" type="slide" axis="1 0 0" stiffness="-1000"/><geom size="0.05" mass="1"/></body></worldbody>
<actuator><motor name="push" joint="x" ctrlrange="-1 1"/></actuator></mujoco>"""


def test_whoever_is_aborted_pays_for_the_rest_of_the_horizon(make_task: Callable[..., Task]) -> None:
    terms = [
        {"term": "state", "block": "positions", "weight": 2.0},
        {"term": "state", "block": "positions", "weight": 4.0, "ramp": "final"},
    ]
    task = make_task(DIVERGING, [3.0], cost=terms)
    environment = TaskEnvironment(task)
    environment.reset(seed=0)
    total, ended, steps = 0.0, False, 0
    while not ended:
        before = environment._state[0]
        _, reward, ended, cut, info = environment.step(np.array([1.0]))
        total, steps = total + reward, steps + 1
        assert not cut
    assert "stopped" in info and 1 < steps < task.horizon
    # l = ½ w x² at the states left, the last of them with both terms
    left = task.horizon - steps + 1
    assert reward == pytest.approx(-(left * 0.5 * 2.0 * before**2 + 0.5 * (2.0 + 4.0) * before**2), rel=1e-12)
    with pytest.raises(RefusedError, match="call reset"):
        environment.step(np.array([0.0]))


def test_every_task_is_registered_by_name(task_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBPL_TASK_PATH", str(task_files))
    from mbpl_control.environments import register_tasks

    names = register_tasks()
    assert {"mbpl/cartpole_swingup-v0", "mbpl/arm_reach-v0"} <= set(names) <= set(gymnasium.registry)
    environment = gymnasium.make("mbpl_control.environments:mbpl/cartpole_swingup-v0")
    assert environment.observation_space.shape == (4,)
    environment.reset(seed=0)
    assert environment.step(np.zeros(1))[1] < 0.0
