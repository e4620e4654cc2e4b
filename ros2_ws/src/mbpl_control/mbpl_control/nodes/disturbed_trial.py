"""A trial on the simulated robot with something wrong: a push, or another mass than the model's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from mbpl_msgs.action import RunTrial

from mbpl_control.core import RefusedError
from mbpl_control.nodes.client import GraphClient

if TYPE_CHECKING:
    from mbpl_control.agents.mujoco import Disturbance

#: Phases of a trial in which the simulation stands still at the start, so that the delay of a push counts from there.
STANDING = ("plan", "activate")


def run_disturbed_trial(
    graph: GraphClient,
    goal: RunTrial.Goal,
    push: Disturbance | None = None,
    mass_scale: float = 1.0,
    deadline: float = 120.0,
    on_feedback: Callable[[RunTrial.Feedback], None] | None = None,
) -> RunTrial.Result:
    """Run one trial and wait for it.

    Args:
        graph: the graph, with a simulated robot.
        goal: the trial.
        push: its delay counts from the start of the trial.
        mass_scale: all masses and inertias of the simulated robot times this during the trial, and 1 after it.
        deadline: s of wall time.
        on_feedback: told of the trial's course.

    Raises:
        RefusedError: the trial was rejected or aborted, or the push or the mass was refused.
        MbplError: a node does not answer in time.
    """
    if mass_scale != 1.0:
        graph.set_parameters("mujoco_sim", {"mass_scale": float(mass_scale)})
    pushed: Future[str] | None = None
    # a callback of the client's executor must not wait for a service: another thread asks
    with ThreadPoolExecutor(1) as pool:

        def watch(feedback: RunTrial.Feedback) -> None:
            nonlocal pushed
            if push is not None and pushed is None and feedback.phase in STANDING:
                pushed = pool.submit(graph.disturb, push.body, push.wrench[:3].tolist(), push.delay, push.duration)
            if on_feedback is not None:
                on_feedback(feedback)

        try:
            result = graph.run_trial(goal, deadline, watch)
        finally:
            if mass_scale != 1.0:
                graph.set_parameters("mujoco_sim", {"mass_scale": 1.0})
        if pushed is not None:
            pushed.result()
        elif push is not None:
            raise RefusedError(f"the trial of '{goal.controller}' was over before its push could be ordered")
    return result
