"""A cost at single points, whatever their time, is that of a trajectory taken apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbpl_control.tasks import load_task


@pytest.mark.parametrize("name", ["cartpole_swingup", "arm_reach"])
def test_points_weighed_as_their_steps_cost_what_the_trajectory_does(name: str, task_files: Path) -> None:
    task = load_task(task_files / f"{name}.yaml")
    cost, steps = task.cost(0), task.horizon
    rng = np.random.default_rng(0)
    states = task.conditions[0].state + 0.1 * rng.standard_normal((steps + 1, task.robot.state.size))
    actions = rng.standard_normal((steps, task.action.size))
    weights = cost.weights(steps)
    assert weights.shape == (len(cost.terms), steps + 1)
    whole, expansion = cost.evaluate(states, actions), cost.quadratize(states, actions)
    for t in (0, 3, steps // 2, steps - 1, steps):
        x, u = states[t : t + 1], actions[min(t, steps - 1)][None]
        assert cost.stage(weights[:, t], x, u)[0] == pytest.approx(whole[t], rel=1e-12)
        at = cost.expand_stage(weights[:, t], x, u)
        assert at.value[0] == pytest.approx(whole[t], rel=1e-12)
        np.testing.assert_allclose(at.lx[0], expansion.lx[t], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(at.lxx[0], expansion.lxx[t], rtol=1e-12, atol=1e-12)
        if t < steps:
            np.testing.assert_allclose(at.lu[0], expansion.lu[t], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(at.luu[0], expansion.luu[t], rtol=1e-12, atol=1e-12)
