"""The reaches that `make bench-ilqr` compares solvers on, and what it makes of where they end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ilqr_problems import ARMS, COST, DURATION, LENGTH, MASS, NEAR, STEPS, Arm, chain, goals, pose, read
from ilqr_sides import SAME, Disagreement, settle


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_no_joint_of_an_arm_wraps_or_is_damped_and_its_posture_is_within_its_limits(arm: Arm, tmp_path: Path) -> None:
    robot = read(arm, tmp_path)
    assert set(robot.state.space.spaces) == {"euclidean"}
    assert not robot.mujoco_model().dof_damping.any()
    assert (robot.position_lower <= arm.posture).all()
    assert (robot.position_upper >= arm.posture).all()


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_goals_are_the_same_in_every_run_and_no_farther_than_the_joints_may_move(arm: Arm, tmp_path: Path) -> None:
    robot = read(arm, tmp_path)
    drawn = goals(robot, arm, 10)
    assert np.array_equal(drawn[:1], goals(robot, arm, 1))
    # no point of an arm is farther than 2 m from a joint of it, and each joint turns by NEAR at most
    away = np.linalg.norm(drawn - robot.kinematics.positions(arm.frame, np.array([arm.posture])), axis=1)
    assert (away > 0.0).all()
    assert (away < 2.0 * NEAR * robot.nv).all()


def test_a_chain_has_the_joints_length_and_mass_it_is_said_to_have(tmp_path: Path) -> None:
    robot = read(chain("xyxyxyx"), tmp_path)
    assert robot.nv == 7
    assert robot.mujoco_model().body_mass.sum() == pytest.approx(MASS)
    assert robot.kinematics.positions("tip", np.zeros((1, 7)))[0] == pytest.approx([0.0, 0.0, -LENGTH])


@pytest.mark.parametrize("steps", [50, 1000])
def test_a_reach_in_more_steps_takes_as_long_and_weighs_as_much(steps: int, tmp_path: Path) -> None:
    arm = chain("yy")
    robot = read(arm, tmp_path)
    problem = pose(arm, robot, np.array([0.5, 0.0, -0.5]), steps, tmp_path / "problem.json")
    content = problem.content
    assert json.loads(problem.file.read_text()) == content
    assert content["steps"] * content["dt"] == pytest.approx(DURATION)
    for name in ("position", "velocity", "action"):
        assert steps * content[name] == pytest.approx(STEPS * COST[name])
    assert content["final_position"] == COST["final_position"]


def test_iterations_are_counted_to_the_least_cost_of_those_at_the_first_ones_optimum() -> None:
    optima = settle({"peer": [9.0, 2.0, 1.0 + 5e-7], "ours": [3.0, 1.0 + 9e-7, 1.0, 1.0]})
    assert optima.best == 1.0
    assert optima.counts == {"peer": 3, "ours": 2}
    assert optima.at_best("peer")
    assert optima.at_best("ours")


@pytest.mark.parametrize(("last", "lower"), [(1.1, False), (1.0 + 3.0 * SAME, False), (0.9, True)])
def test_who_ends_at_another_optimum_is_told_and_counted_to_its_own(last: float, lower: bool) -> None:
    optima = settle({"peer": [2.0, 1.0], "ours": [3.0, 2.0, last, last]})
    assert not optima.at_best("ours")
    assert optima.lower("ours") is lower
    assert optima.best == 1.0
    assert optima.counts == {"peer": 2, "ours": 3}


@pytest.mark.parametrize("trace", [[], [2.0, float("nan")]])
def test_who_finds_no_cost_at_all_ends_the_comparison(trace: list[float]) -> None:
    with pytest.raises(Disagreement, match="ours found no finite cost"):
        settle({"peer": [1.0], "ours": trace})
