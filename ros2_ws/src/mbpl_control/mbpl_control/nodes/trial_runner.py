"""Node `trial_runner`: the action `run_trial` brings the robot to a start and runs a controller over the horizon."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from mbpl_msgs import msg
from mbpl_msgs.action import RunTrial
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from mbpl_control.core import MbplError, RefusedError
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import OK, WARN, Diagnostics
from mbpl_control.nodes.graph_calls import GraphCalls
from mbpl_control.nodes.node_tools import RESULT_TIMEOUT, declare, in_thread
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.nodes.priority_executor import node_priority
from mbpl_control.nodes.qos import EVENTS, LATCHED, RECORDER
from mbpl_control.nodes.trial_procedure import TrialOrder, TrialOutcome, TrialProcedure
from mbpl_control.tasks import load_task


class TrialRunner(Node):
    """An action server around `TrialProcedure`, which runs in a thread of its own."""

    def __init__(self) -> None:
        """Declare parameters, open the graph."""
        super().__init__("trial_runner")
        self._task = load_task(declare(self, "task", "arm_reach", "Name of the task, or path of its YAML."))
        robot = declare(
            self,
            "robot",
            "sim",
            "sim (put at the start by the simulation's reset) or hardware (led there along a path).",
            choices=("sim", "hardware"),
        )
        lockstep = declare(
            self, "lockstep", False, "Whether the simulation waits for commands; it is paused between trials."
        )
        settle = declare(
            self, "settle_time", 0.1, "s of simulated time at the start, joints locked, before a trial.", 0.0, 60.0
        )
        speed = declare(
            self, "approach_speed", 0.3, "Fraction of the speed limits used on the way to a start.", 0.01, 1.0
        )
        self._goal: Any = None
        self._busy = False
        self._lock = threading.Lock()
        self._completed = self._failed = self._rejected = 0
        self._phase = ""
        trials = self.create_publisher(msg.Trial, "trials", EVENTS)
        self._procedure = TrialProcedure(
            GraphCalls(self, timeout=10.0),
            self._task,
            robot == "sim",
            lockstep,
            settle,
            speed,
            self._report,
            lambda trial, start_ns: trials.publish(convert.trial_to_msg(trial, start_ns)),
        )
        states = self.create_subscription(msg.RobotState, "state", self._on_state, RECORDER, raw=True)
        commands = self.create_subscription(msg.JointCommand, "joint_commands", self._on_command, RECORDER, raw=True)
        self._always = robot == "hardware"
        self.create_subscription(msg.ManagerStatus, "status", self._procedure.on_status, LATCHED)
        node_priority(self, states, commands)
        self._server = ActionServer(
            self,
            RunTrial,
            "~/run_trial",
            self._execute,
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
            result_timeout=RESULT_TIMEOUT,
        )
        self._diagnostics = Diagnostics(self, "trials", "no trial yet", self._figures)
        self._diagnostics.open()

    # --- what is heard; parsed only when it matters ---

    def _on_state(self, data: bytes) -> None:
        if self._procedure.listening or self._always:
            self._procedure.on_state(deserialize_message(data, msg.RobotState))

    def _on_command(self, data: bytes) -> None:
        if self._procedure.listening:
            self._procedure.on_command(deserialize_message(data, msg.JointCommand))

    # --- the action ---

    def _on_goal(self, _: RunTrial.Goal) -> GoalResponse:
        with self._lock:
            if self._busy:
                self._rejected += 1
                self.get_logger().warning("a trial is running; the new one is rejected")
                return GoalResponse.REJECT
            self._busy = True
        return GoalResponse.ACCEPT

    def _on_cancel(self, _: Any) -> CancelResponse:
        self._procedure.cancelled.set()
        return CancelResponse.ACCEPT

    async def _execute(self, goal: Any) -> RunTrial.Result:
        """Hand the trial to a thread and give the executor back until it is over."""
        self._goal = goal
        outcome: TrialOutcome | MbplError
        try:
            outcome = await in_thread(self, lambda: self._procedure.run(self._order(goal.request)))
        except MbplError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - a trial that fails must end its action, with the reason
            outcome = MbplError(f"trial failed: {error!r}")
        finally:
            self._goal = None
            with self._lock:
                self._busy = False
        return self._finish(goal, outcome)

    def _order(self, request: RunTrial.Goal) -> TrialOrder:
        start = None
        if request.condition < 0:
            start = np.array(request.start_state)
            size = self._task.robot.state.size
            if start.shape != (size,) or not np.isfinite(start).all():
                raise RefusedError(f"start_state has {len(start)} numbers; must be {size} finite ones")
        horizon = self._task.horizon * self._task.dt
        return TrialOrder(
            request.controller,
            max(request.condition, 0),
            start,
            request.seed,
            request.record,
            request.bag,
            request.label,
            request.iteration,
            request.timeout if request.timeout > 0.0 else 30.0 + 5.0 * horizon,
        )

    def _finish(self, goal: Any, outcome: TrialOutcome | MbplError) -> RunTrial.Result:
        result = RunTrial.Result(cost=float("nan"), final_distance=float("nan"))
        if isinstance(outcome, MbplError):
            result.message = str(outcome)
            self._failed += 1
            text = f"trial of '{goal.request.controller}': {outcome}"
            self._diagnostics.say(text, WARN)
            self.get_logger().warning(text)
            goal.canceled() if goal.is_cancel_requested else goal.abort()
            return result
        trial = outcome.trial
        result.trial = convert.trial_to_msg(trial, outcome.start_ns)
        result.cost, result.bag = trial.cost, outcome.bag
        result.final_distance = outcome.final_distance
        result.message = "; ".join(part for part in (trial.stop_reason, outcome.note) if part)
        result.ok = trial.stop_reason == "completed"
        self._diagnostics.say(f"trial of '{trial.controller}': {result.message}", OK if result.ok else WARN)
        self._completed += result.ok
        self._failed += not result.ok
        if result.ok:
            goal.succeed()
        elif goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
        return result

    def _figures(self) -> dict[str, object]:
        return {
            "running": self._phase if self._busy else "no",
            "completed": self._completed,
            "failed": self._failed,
            "rejected": self._rejected,
        }

    def _report(self, phase: str, step: int, steps: int) -> None:
        goal, self._phase = self._goal, phase
        if goal is not None and goal.is_active:
            goal.publish_feedback(RunTrial.Feedback(phase=phase, step=step, steps=steps))


def main() -> None:
    """Run the node."""
    run_node(TrialRunner)


if __name__ == "__main__":
    main()
