"""Node `dynamics_fitter`: local dynamics from the trials that come by, and how good they are."""

from __future__ import annotations

import numpy as np
from mbpl_msgs import msg
from rclpy.node import Node

from mbpl_control.core import LinearGaussianDynamics, MbplError, Trial
from mbpl_control.fitting.online import OnlineOptions
from mbpl_control.learning.live_fit import FittedTrials
from mbpl_control.learning.lqr_flm import LqrFlm
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import OK, WARN, Diagnostics
from mbpl_control.nodes.live_fitting import LiveFitting
from mbpl_control.nodes.node_tools import declare
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.nodes.qos import EVENTS
from mbpl_control.tasks import load_task


class DynamicsFitter(Node):
    """Collects trials by controller and start condition; enough of them make a fit."""

    def __init__(self) -> None:
        """Declare parameters, open the graph."""
        super().__init__("dynamics_fitter")
        self._task = load_task(declare(self, "task", "arm_reach", "Name of the task, or path of its YAML."))
        self._controllers = declare(self, "controllers", ["lqr_flm_sampled"], "Controllers whose trials are fitted.")
        samples = declare(self, "samples", 0, "Trials a fit; 0: the task's.", 0, 10**6)
        self._poor = declare(
            self, "poor_share", 0.5, "A fit whose error is above this share of the motion in a step is poor.", 0.0, 1e6
        )
        online = declare(self, "online", False, "Follow the robot during trials, from the newest fits on.")
        forgetting = declare(
            self, "forgetting", 0.98, "A step counts so much less with each that follows; below 1.", 0.0, 1.0
        )
        kept = declare(self, "kept", 0.05, "Share of the fit that is never forgotten.", 0.0, 1.0)
        self._samples = samples or self._task.learning.samples
        if self._samples < 2:
            raise MbplError(f"{self.get_name()}: parameter 'samples' is {self._samples}; a fit needs at least 2")
        # the learner in process fits by the same code, under the same prior
        self._learner = LqrFlm(self._task, 0, self._task.learning)
        self._pending: dict[tuple[str, int], list[Trial]] = {}
        self._dynamics = self.create_publisher(msg.LinearGaussianDynamics, "dynamics", EVENTS)
        self._diagnostics = Diagnostics(self, "fit")
        self._diagnostics.open(None)
        self._live: LiveFitting | None = None
        if online:
            self._live = LiveFitting(
                self, self._task, self._controllers, OnlineOptions(forgetting, kept), self._diagnostics
            )
        self.create_subscription(msg.Trial, "trials", self._on_trial, EVENTS)

    def _on_trial(self, message: msg.Trial) -> None:
        if message.controller not in self._controllers:
            return
        try:
            trial = convert.trial_from_msg(message)
        except MbplError as error:
            self.get_logger().warning(f"trial refused: {error}")
            return
        if trial.task_hash != self._task.hash or trial.condition not in self._learner.training:
            self.get_logger().warning(
                f"trial refused: it is of task '{trial.task}' ({trial.task_hash}), start condition {trial.condition}; "
                f"fitted are training conditions of '{self._task.name}' ({self._task.hash})"
            )
            return
        pending = self._pending.setdefault((trial.controller, trial.condition), [])
        pending.append(trial)
        if len(pending) >= self._samples:
            self._fit(self._pending.pop((trial.controller, trial.condition)))

    def _fit(self, trials: list[Trial]) -> None:
        """One fit, told with its quality."""
        condition, learner = trials[0].condition, self._learner
        learner.events.clear()
        sets = learner.sort(trials)
        valid = sets[condition]
        models = learner.fit(sets)
        # another trial is left out next time
        learner.iteration += 1
        for event in learner.events:
            self.get_logger().warning(event)
        if valid is None:
            self._tell(condition, "too few valid trials for a fit", True, {})
            return
        count = len(valid.states)
        dynamics = models[condition].absolute_dynamics(self._task, count)
        # what a fit that knows nothing would be off by
        motion = float(np.sqrt(np.mean(np.diff(valid.states, axis=1) ** 2)))
        one_step = float(dynamics.fit_error.mean())
        held_out = float(dynamics.metadata.get("held_out_error", one_step))
        share = held_out / motion if motion > 0.0 else 1.0
        rank = int(dynamics.metadata["rank_min"])
        poor = share > self._poor or rank == 0
        quality = {"one_step_error": one_step, "held_out_error": held_out, "error_share": share}
        if self._live is not None:
            self._live.take(trials[0].controller, FittedTrials.of(condition, dynamics, valid))
        message = convert.dynamics_to_msg(self._described(dynamics, trials, quality | {"poor": int(poor)}))
        self._dynamics.publish(message)
        why = "all trials are the same" if rank == 0 else f"the error is {share:.2g} of the motion in a step"
        text = f"fit of {count} trials: {'poor: ' if poor else ''}{why}"
        self._tell(condition, text, poor, quality | {"rank": rank, "trials": count})

    @staticmethod
    def _described(
        dynamics: LinearGaussianDynamics, trials: list[Trial], quality: dict[str, float]
    ) -> LinearGaussianDynamics:
        """Dynamics that say what they were fitted to."""
        about = {
            "condition": trials[0].condition,
            "controller": trials[0].controller,
            "seeds": " ".join(str(trial.seed) for trial in trials),
        }
        return LinearGaussianDynamics(
            dynamics.state,
            dynamics.action,
            dynamics.dt,
            dynamics.a,
            dynamics.b,
            dynamics.c,
            dynamics.covariances,
            dynamics.samples,
            dynamics.fit_error,
            dynamics.source,
            {**dynamics.metadata, **quality, **about},
        )

    def _tell(self, condition: int, text: str, poor: bool, values: dict[str, float]) -> None:
        log = self.get_logger().warning if poor else self.get_logger().info
        log(f"condition {condition}: {text}")
        self._diagnostics.tell(text, WARN if poor else OK, values, f"condition {condition}")


def main() -> None:
    """Run the node."""
    run_node(DynamicsFitter)


if __name__ == "__main__":
    main()
