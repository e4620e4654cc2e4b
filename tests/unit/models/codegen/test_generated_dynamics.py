"""Compiled kernels as dynamics, against Pinocchio's bindings and MuJoCo."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import ModelError
from mbpl_control.models import GeneratedDynamics, MujocoDynamics, PinocchioDynamics, RobotModel
from mbpl_control.models.codegen import library, robot_kernels
from mbpl_control.models.generated_dynamics import tree_of
from mbpl_control.models.rigid_dynamics import rigid_dynamics, why_not_generated

STEPS, SHORT = 60, 4
#: A dry joint beside a wet one, one that is both and is not driven, so that friction holds, slips, or one of the two.
RUBS = """
<mujoco model="rubs">
  <compiler autolimits="true"/>
  <option timestep="0.005" integrator="Euler" tolerance="0" iterations="200"/>
  <default><geom contype="0" conaffinity="0" density="800" size="0.03"/></default>
  <worldbody>
    <body>
      <joint name="a" axis="0 1 0" frictionloss="1.5" damping="0.3" armature="0.02"/>
      <geom type="capsule" fromto="0 0 0 0.4 0 0"/>
      <body pos="0.4 0 0">
        <joint name="b" axis="1 0 1" damping="0.1"/>
        <geom type="capsule" fromto="0 0 0 0.3 0.1 0"/>
        <body pos="0.3 0.1 0">
          <joint name="c" axis="0 1 0" frictionloss="0.2" damping="0.1"/>
          <geom type="capsule" fromto="0 0 0 0.2 0 0"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="a"/><motor joint="b"/></actuator>
</mujoco>
"""


@pytest.fixture(scope="module", autouse=True)
def apart():
    """Kernels of these tests are not those of the tasks; they stay, so that they are compiled once on a machine."""
    patch = pytest.MonkeyPatch()
    kept = library.directory()
    patch.setattr(library, "directory", lambda: kept.with_name("mbpl_kernels_of_tests"))
    yield
    patch.undo()


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module", params=["tree"])
def robot(request, robots) -> RobotModel:
    """Slides and hinges about skew axes, rests away from zero, a branch, angles that wrap, and joints not driven."""
    return robots[request.param]


def law(robot: RobotModel, random_states) -> tuple[np.ndarray, ...]:
    """Reference, plan, feedforward and gains of a law that has much to correct, longer than a row."""
    rng = np.random.default_rng(1)
    n, m = robot.state.tangent_size, robot.action.size
    effort = 0.3 * rng.uniform(robot.action.lower, robot.action.upper, (STEPS, m))
    gains = 0.05 * rng.normal(size=(STEPS, m, n))
    return random_states(robot, STEPS + 1), effort, 0.1 * rng.normal(size=(STEPS, m)), gains


@pytest.mark.parametrize("substeps", [1, 3])
def test_all_that_a_planner_asks_is_as_by_the_bindings(robot, random_states, substeps: int) -> None:
    ours = GeneratedDynamics(robot, 0.006, substeps, tell=silent)
    theirs = PinocchioDynamics(robot, 0.006, substeps)
    nominal, effort, feedforward, gains = law(robot, random_states)
    limits = 0.2 * robot.action.lower, 0.2 * robot.action.upper
    sizes, m = np.array([1.0, 0.5, 0.25, 0.1, 0.0]), robot.action.size

    def agree(found, expected) -> None:
        for mine, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-9 * max(1.0, np.abs(other).max()))

    for _ in range(2):
        agree([ours.step(nominal[:-1], effort)], [theirs.step(nominal[:-1], effort)])
        agree([ours.rollout(nominal[0], effort)], [theirs.rollout(nominal[0], effort)])
        agree(ours.linearize(nominal[:-1], effort), theirs.linearize(nominal[:-1], effort))
        arguments = (nominal, effort, feedforward, gains)
        agree(ours.rollout_feedback(*arguments, sizes, *limits), theirs.rollout_feedback(*arguments, sizes, *limits))
        agree(ours.rollout_linearized(*arguments, *limits), theirs.rollout_linearized(*arguments, *limits))
        # more trajectories than a row has lanes, each from a start of its own
        starts, plans = np.repeat(nominal[:-1], 2, axis=0), np.repeat(effort, 2 * SHORT, axis=0).reshape(-1, SHORT, m)
        reference = (nominal[:SHORT], gains[:SHORT], *limits)
        agree(ours.follow(starts, plans, *reference), theirs.follow(starts, plans, *reference))
        agree([ours.rollouts(starts, plans)], [theirs.rollouts(starts, plans)])
        # and once more with steps of another length
        ours.set_duration(0.0042)
        theirs.set_duration(0.0042)


def test_a_trajectory_that_diverges_holds_numbers_that_are_not_finite(robot) -> None:
    dynamics = GeneratedDynamics(robot, 0.006, tell=silent)
    huge = np.full((STEPS, robot.action.size), 1e300)
    assert not np.isfinite(dynamics.rollout(np.zeros(2 * robot.nv), huge)[-1]).any()


def test_dry_friction_is_mujocos_and_so_are_its_derivatives(make_robot, numeric_linearization) -> None:
    robot = make_robot(RUBS)
    ours, theirs = GeneratedDynamics(robot, 0.01, 2, tell=silent), MujocoDynamics(robot, 0.01, 0.005)
    rng = np.random.default_rng(0)
    slow = rng.choice([0.0, 0.002, 0.05, 1.0], (STEPS, 1))
    states = np.concatenate([rng.uniform(-2, 2, (STEPS, 3)), slow * rng.normal(size=(STEPS, 3))], axis=1)
    actions = rng.choice([0.1, 2.0, 20.0], (STEPS, 1)) * rng.normal(size=(STEPS, 2))
    np.testing.assert_allclose(ours.step(states, actions), theirs.step(states, actions), atol=1e-8)
    a, b = ours.linearize(states, actions)
    off = 0
    for t in range(STEPS):
        numeric_a, numeric_b = numeric_linearization(ours, states[t], actions[t], 1e-7)
        off += not (np.allclose(a[t], numeric_a, atol=2e-5) and np.allclose(b[t], numeric_b, atol=2e-5))
    # where a joint is just about to slip there is no derivative
    assert off <= 2


@pytest.mark.parametrize("name", ["arm7", "acrobot", "pendulum", "cartpole", "reacher_2link", "panda", "tree"])
def test_generated_accelerations_move_robots_as_mujoco_does(robots, random_states, name: str) -> None:
    robot, h = robots[name], 0.005
    states = random_states(robot, 5)
    actions = 0.02 * np.random.default_rng(1).uniform(robot.action.lower, robot.action.upper, (5, robot.action.size))
    q, v = robot.split(states)
    effort = np.zeros((5, robot.nv))
    effort[:, robot.actuated] = actions
    kernel = robot_kernels.forward(tree_of(robot))
    v = v + h * kernel.evaluate(q=q, v=v, effort=effort, h=np.full((5, 1), h))["acceleration"]
    expected = MujocoDynamics(robot, h, h).step(states, actions)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(np.concatenate([q + h * v, v], axis=1), expected, atol=1e-9 * scale)


def test_kernels_that_are_not_compiled_give_way_to_the_bindings_which_is_said_once(
    make_robot, monkeypatch, tmp_path: Path, caplog
) -> None:
    monkeypatch.setattr(library, "directory", lambda: tmp_path / "empty")
    # once in a process: no other test may have asked for this robot
    robot = make_robot(re.sub(r' frictionloss="[^"]*"', "", RUBS.replace("rubs", "said_once")))
    with pytest.raises(ModelError, match="not compiled on this machine; `mbpl compile`"):
        GeneratedDynamics(robot, 0.01)
    assert "mbpl compile" in why_not_generated(robot)
    for _ in range(2):
        assert isinstance(rigid_dynamics(robot, 0.01), PinocchioDynamics)
    assert caplog.text.count("slower by Pinocchio's bindings") == 1
    # nothing was generated or compiled on the way
    assert not (tmp_path / "empty").exists()


def test_compiled_kernels_are_what_is_used(robot) -> None:
    library.build(tree_of(robot), silent)
    assert why_not_generated(robot) == ""
    assert isinstance(rigid_dynamics(robot, 0.01), GeneratedDynamics)


def test_another_process_loads_what_was_compiled_and_compiles_nothing(robot) -> None:
    library.build(tree_of(robot), silent)
    program = (
        "import pathlib, sys\n"
        "from mbpl_control.models import GeneratedDynamics, RobotModel\n"
        "from mbpl_control.models.codegen import library\n"
        "library.directory = lambda: pathlib.Path(sys.argv[1])\n"
        "dynamics = GeneratedDynamics(RobotModel.from_file(sys.argv[2]), 0.006)\n"
        "for name in library.SIGNATURES:\n"
        "    found = getattr(dynamics._module, name).stats\n"
        "    assert sum(found.cache_hits.values()) == 1 and not found.cache_misses, (name, found)\n"
    )
    command = [sys.executable, "-c", program, str(library.directory()), str(robot.path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_place_that_cannot_be_written_is_named(robots, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(library, "directory", lambda: tmp_path / "file" / "below")
    with pytest.raises(ModelError, match="kernels cannot be kept there.*NUMBA_CACHE_DIR"):
        library.build(tree_of(robots["pendulum"]), silent)


def test_another_robot_generator_or_damping_is_another_module(robots, make_robot, monkeypatch) -> None:
    tree = tree_of(make_robot(RUBS))
    heavier = tree_of(make_robot(RUBS.replace('density="800"', 'density="801"')))
    damped = tree_of(make_robot(RUBS.replace('damping="0.3"', 'damping="0.4"')))
    assert len({library.path_of(t) for t in (tree, heavier, damped)}) == 3
    assert library.path_of(tree) == library.path_of(tree_of(make_robot(RUBS)))
    before = library.path_of(tree)
    monkeypatch.setattr(library, "_generator", lambda: "changed")
    assert library.path_of(tree) != before
