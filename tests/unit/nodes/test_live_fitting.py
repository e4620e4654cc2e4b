"""What `dynamics_fitter` learns during a trial, in whatever order states and commands come to be heard."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import rclpy
from domain_coordinator import domain_id
from mbpl_msgs import msg
from rclpy.node import Node

from mbpl_control.core import LinearGaussianDynamics
from mbpl_control.fitting.online import OnlineOptions
from mbpl_control.learning.live_fit import FittedTrials, LiveFit
from mbpl_control.learning.local_model import TrialSet
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import Diagnostics
from mbpl_control.nodes.live_fitting import LiveFitting
from mbpl_control.tasks import Task

NAME = "learned"
OPTIONS = OnlineOptions()


@pytest.fixture
def node() -> Iterator[Node]:
    """A node that nobody else hears."""
    with domain_id() as domain:
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=domain)
        node = Node("fitter", context=context)
        yield node
        node.destroy_node()
        rclpy.shutdown(context=context)


class Heard:
    """Trials of random numbers, told to a `LiveFitting` message by message."""

    def __init__(self, task: Task, live: LiveFitting) -> None:
        self.task, self.live = task, live
        rng = np.random.default_rng(0)
        self.states = rng.normal(size=(2, task.horizon + 1, task.state.size))
        self.actions = rng.normal(size=(2, task.horizon, task.action.size))

    def stamp(self, trial: int, step: int) -> int:
        # the second begins five steps after the end of the first
        return round(1e9 * self.task.dt * (100 + step + trial * (self.task.horizon + 5)))

    def state(self, trial: int, step: int) -> None:
        message = msg.RobotState(definition_hash=self.task.state.hash, state=self.states[trial, step].tolist())
        message.header.stamp = convert.ns_to_time(self.stamp(trial, step))
        message.position = message.velocity = [0.0] * self.task.robot.nv
        self.live._on_state(message)

    def command(self, trial: int, step: int) -> None:
        over = step == self.task.horizon
        values = np.zeros(self.task.action.size) if over else self.actions[trial, step]
        name = "fallback" if over else NAME
        message = msg.JointCommand(controller=name, values=values.tolist(), step=step)
        message.header.stamp = convert.ns_to_time(self.stamp(trial, step))
        self.live._on_command(message)


def fit_of(task: Task) -> FittedTrials:
    """A fit to five trials, with dynamics that are as good as any."""
    n, m, steps = task.state.size, task.action.size, task.horizon
    rng = np.random.default_rng(1)
    dynamics = LinearGaussianDynamics(
        task.state,
        task.action,
        task.dt,
        np.tile(0.9 * np.eye(n), (steps, 1, 1)),
        np.tile(rng.normal(size=(n, m)), (steps, 1, 1)),
        np.zeros((steps, n)),
        np.tile(1e-3 * np.eye(n), (steps, 1, 1)),
        samples=5,
    )
    trials = TrialSet(rng.normal(size=(5, steps + 1, n)), rng.normal(size=(5, steps, m)), np.zeros(5))
    return FittedTrials.of(0, dynamics, trials)


@pytest.mark.parametrize("ahead", [0, 5], ids=["as they were sent", "states before commands"])
def test_a_trial_is_learned_from_its_first_step_though_the_one_before_is_still_followed(
    node: Node, balance: Task, ahead: int
) -> None:
    live = LiveFitting(node, balance, [NAME], OPTIONS, Diagnostics(node, "fit"))
    fit = fit_of(balance)
    live.take(NAME, fit)
    told: list[LinearGaussianDynamics] = []
    live._dynamics = SimpleNamespace(publish=told.append)
    heard, last = Heard(balance, live), balance.horizon
    for step in range(last):
        heard.state(0, step)
        heard.command(0, step)
    heard.state(0, last)
    for step in range(ahead):
        heard.state(1, step)
    heard.command(0, last)  # only now the first trial is known to be over
    for step in range(last + 1):
        if step >= ahead:
            heard.state(1, step)
        heard.command(1, step)
    assert len(told) == 2 * last
    expected = LiveFit([fit], OPTIONS)
    for step, message in enumerate(told[last:]):
        x, u, after = heard.states[1, step], heard.actions[1, step], heard.states[1, step + 1]
        wanted = expected.update(step, x, u, after).dynamics
        found = convert.dynamics_from_msg(message)
        np.testing.assert_allclose(found.a, wanted.a, rtol=1e-9, atol=1e-12)
        assert convert.time_to_ns(message.header.stamp) == heard.stamp(1, step + 1)
