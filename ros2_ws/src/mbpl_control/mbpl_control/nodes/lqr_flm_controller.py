"""Node `lqr_flm_controller`: a better controller after each fit of the dynamics its trials showed."""

from __future__ import annotations

from collections import deque
from typing import Any

from mbpl_msgs import msg, srv
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn

from mbpl_control.core import LinearGaussianController, LinearGaussianDynamics, MbplError, RefusedError, Trial
from mbpl_control.learning.lqr_flm import LqrFlm
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import WARN, Diagnostics
from mbpl_control.nodes.node_tools import autostart, declare
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.nodes.qos import EVENTS, LAWS
from mbpl_control.tasks import load_task

#: Trials that are kept until a fit of them comes.
KEPT = 200


class LqrFlmController(LifecycleNode):
    """Shell around `learning.LqrFlm`: one controller for each start condition the task trains from."""

    def __init__(self) -> None:
        """Declare parameters; the work begins with configuration."""
        super().__init__("lqr_flm_controller")
        self._task_name = declare(self, "task", "arm_reach", "Name of the task, or path of its YAML.")
        self._controllers = declare(
            self, "controllers", ["lqr_flm_sampled"], "The manager's controllers that explore with these laws."
        )
        self._kl = declare(
            self, "kl_step", 0.0, "nats a step of the horizon, before it is adapted; 0: the task's.", 0.0, 1e6
        )
        self._entropy = declare(self, "entropy", -1.0, "Weight of the entropy; below 0: the task's.", -1.0, 1e6)
        self._learner: LqrFlm | None = None
        self._running = False
        self._sequence = 0
        #: laws that were published, by number, with their condition
        self._laws: dict[int, tuple[int, LinearGaussianController]] = {}
        self._trials: deque[Trial] = deque(maxlen=KEPT)
        #: fits by condition whose trials have not all come by yet
        self._early: dict[int, LinearGaussianDynamics] = {}
        self._steps: dict[int, int] = {}
        self._diagnostics = Diagnostics(self, "learning", "nothing learned yet", self._figures)
        autostart(self)

    # --- lifecycle ---

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Load the task, make the first controllers, open the graph."""
        try:
            task = load_task(self._task_name)
            options = task.learning
            if self._kl > 0.0:
                options = options.model_copy(update={"step": options.step.model_copy(update={"kl": self._kl})})
            if self._entropy >= 0.0:
                options = options.model_copy(update={"entropy": self._entropy})
            self._learner = LqrFlm(task, 0, options)
        except MbplError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self._steps = dict.fromkeys(self._learner.training, 0)
        self._out = self.create_publisher(msg.LinearGaussianController, "~/controller", LAWS)
        self._service = self.create_service(srv.PlanController, "~/plan", self._on_plan)
        self._heard = [
            self.create_subscription(msg.Trial, "trials", self._on_trial, EVENTS),
            self.create_subscription(msg.LinearGaussianDynamics, "dynamics", self._on_dynamics, EVENTS),
        ]
        self._diagnostics.open()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Begin to answer and to learn."""
        self._running = True
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Learn nothing more; the last law stays published."""
        self._running = False
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Leave the graph and forget what was learned."""
        self._diagnostics.close()
        for subscription in self._heard:
            self.destroy_subscription(subscription)
        self.destroy_service(self._service)
        self.destroy_publisher(self._out)
        self._learner = None
        self._laws.clear()
        self._trials.clear()
        self._early.clear()
        return TransitionCallbackReturn.SUCCESS

    # --- laws ---

    def _on_plan(self, request: srv.PlanController.Request, response: Any) -> Any:
        """Publish the newest controller of a start condition."""
        try:
            learner = self._active()
            condition = max(0, request.condition)
            if condition not in learner.training:
                known = ", ".join(map(str, learner.training))
                raise RefusedError(f"no controller is learned from start condition {condition}; from {known} there is")
            response.sequence = self._publish(condition)
            law = self._laws[response.sequence][1]
            response.ok, response.converged = True, True
            response.message = f"controller '{law.name}' after {self._steps[condition]} steps"
        except MbplError as error:
            response.message = str(error)
            self.get_logger().warning(str(error))
        return response

    def _active(self) -> LqrFlm:
        if not self._running or self._learner is None:
            raise RefusedError("the node is not active; configure and activate it first")
        return self._learner

    def _publish(self, condition: int) -> int:
        """Publish the controller of a condition, unless it is the one published last; its number."""
        assert self._learner is not None  # noqa: S101 - the callers see to it
        law = self._learner.explorer(condition)
        newest = self._laws.get(self._sequence)
        if newest is not None and newest[0] == condition and same(newest[1], law):
            return self._sequence
        self._sequence += 1
        self._laws[self._sequence] = condition, law
        self._laws.pop(self._sequence - KEPT, None)
        message = convert.controller_to_msg(law)
        message.sequence = self._sequence
        self._out.publish(message)
        return self._sequence

    # --- learning ---

    def _on_trial(self, message: msg.Trial) -> None:
        if message.controller not in self._controllers:
            return
        try:
            trial = convert.trial_from_msg(message)
        except MbplError as error:
            self.get_logger().warning(f"trial refused: {error}")
            return
        self._trials.append(trial)
        if trial.condition in self._early:
            self._take(self._early.pop(trial.condition))

    def _on_dynamics(self, message: msg.LinearGaussianDynamics) -> None:
        """A step from dynamics that were fitted to trials of the newest controller of their condition."""
        if not self._running:
            return
        try:
            dynamics = convert.dynamics_from_msg(message)
        except MbplError as error:
            self.get_logger().warning(f"dynamics refused: {error}")
            return
        if dynamics.metadata.get("controller") in self._controllers:
            self._take(dynamics)

    def _take(self, dynamics: LinearGaussianDynamics) -> None:
        """Use dynamics, or keep them until all of their trials have come by."""
        try:
            self._improve(dynamics)
        except MbplError as error:
            self._diagnostics.say(str(error), WARN)
            self.get_logger().warning(f"no step: {error}")

    def _improve(self, dynamics: LinearGaussianDynamics) -> None:
        learner, condition = self._active(), int(dynamics.metadata.get("condition", -1))
        if condition not in learner.training:
            raise RefusedError(f"dynamics of start condition {condition}, from which nothing is learned")
        if dynamics.metadata.get("rank_min") == 0:
            raise RefusedError(f"condition {condition}: all trials are the same; each needs a seed of its own")
        trials = self._fitted(dynamics, condition)
        if trials is None:
            self._early[condition] = dynamics
            return
        current = learner.explorer(condition)
        for trial in trials:
            found, law = self._laws.get(int(trial.metadata.get("law_sequence", 0)), (-1, None))
            if found != condition or law is None or not same(law, current):
                raise RefusedError(f"condition {condition}: not all of the trials were of its newest controller")
        row = learner.improve(condition, trials, dynamics, self._steps[condition] + 1)
        self._steps[condition] += 1
        for event in learner.events:
            self.get_logger().warning(event)
        figures = ", ".join(f"{key} {row[key]:.4g}" for key in ("cost", "kl", "eta", "success"))
        name = learner.states[condition].controller.name
        text = f"condition {condition}: '{name}' from {len(trials)} trials: {figures}"
        self._diagnostics.say(text)
        self.get_logger().info(text)
        self._publish(condition)

    def _fitted(self, dynamics: LinearGaussianDynamics, condition: int) -> list[Trial] | None:
        """The newest trials, if they are those that the dynamics were fitted to; else None."""
        seeds = [int(seed) for seed in str(dynamics.metadata.get("seeds", "")).split()]
        mine = [t for t in self._trials if t.condition == condition]
        mine = mine[max(len(mine) - len(seeds), 0) :]
        return mine if seeds and [t.seed for t in mine] == seeds else None

    def _figures(self) -> dict[str, object]:
        return {f"steps of condition {c}": n for c, n in self._steps.items()}


def same(one: LinearGaussianController, other: LinearGaussianController) -> bool:
    """Whether two laws of one start condition are the same: they come from the same step, with the same noise."""
    return one.name == other.name and bool((one.covariances == other.covariances).all())


def main() -> None:
    """Run the node."""
    run_node(LqrFlmController)


if __name__ == "__main__":
    main()
