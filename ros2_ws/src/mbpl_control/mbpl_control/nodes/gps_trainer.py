"""Node `gps_trainer`: the action `train` learns by trial on the running graph."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from mbpl_msgs.action import TrainPolicy
from mbpl_msgs.srv import LoadController
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from mbpl_control.agents.pool import AgentRunner
from mbpl_control.agents.ros import POLICY_NODE, RosAgent
from mbpl_control.core import LinearGaussianController, MbplError, RefusedError
from mbpl_control.learning.learner import IterationReport
from mbpl_control.learning.registry import build_learner
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.diagnostics import OK, WARN, Diagnostics
from mbpl_control.nodes.node_tools import RESULT_TIMEOUT, declare, in_thread
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.runs import RunDirectory, TrainingRun
from mbpl_control.runs.beginning import new_run
from mbpl_control.runs.report import write_report
from mbpl_control.runs.supervision import RunProgress, Supervisor
from mbpl_control.tasks import load_task

#: Services of the graph that every trial needs.
NEEDED = ("mujoco_sim/reset", "controller_manager/switch_controller", "trial_runner/get_parameters")
#: Under this name, with the start condition behind it, the manager gets each controller that was learned.
LEARNED = "learned_"


class GPSTrainer(Node):
    """An action server around `runs.TrainingRun`, which runs in a thread of its own."""

    def __init__(self) -> None:
        """Declare parameters, open the graph, begin if asked to."""
        super().__init__("gps_trainer")
        self._task = load_task(declare(self, "task", "arm_reach", "Name of the task, or path of its YAML."))
        start = declare(self, "start", False, "Whether the training that the parameters describe begins by itself.")
        goal = TrainPolicy.Goal(
            method=declare(self, "method", "lqr_flm", "What learns.", choices=("lqr_flm", "gps")),
            variant=declare(self, "variant", "", "Of gps: mdgps, badmm or lagrangian; empty: the task's."),
            iterations=declare(self, "iterations", 0, "In all; 0: as many as the method usually takes.", 0, 10**6),
            samples=declare(self, "samples", 0, "Trials a condition and iteration; 0: the task's.", 0, 10**6),
            seed=declare(self, "seed", 0, "Of all that is drawn.", 0, 2**62),
            run_directory=declare(self, "run_directory", "", "One that exists is resumed; empty: a new one in runs."),
        )
        self._wait = declare(self, "graph_timeout", 60.0, "s of wall time to wait for the graph.", 1.0, 3600.0)
        self._lock = threading.Lock()
        self._supervisor: Supervisor | None = None
        self._iterations = 0
        self._ending = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self.create_service(SetBool, "~/pause", self._on_pause)
        self.create_service(Trigger, "~/reject_trial", self._on_reject)
        self._server = ActionServer(
            self,
            TrainPolicy,
            "~/train",
            self._execute,
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
            result_timeout=RESULT_TIMEOUT,
        )
        self._diagnostics = Diagnostics(self, "training", "no training yet", self._figures)
        self._diagnostics.open()
        if start:
            self._idle.clear()
            supervisor = self._supervisor = Supervisor(on_report=self._tell)
            threading.Thread(target=self._train, args=(goal, supervisor), daemon=True).start()

    # --- the action ---

    def _on_goal(self, _: TrainPolicy.Goal) -> GoalResponse:
        with self._lock:
            if not self._idle.is_set():
                self.get_logger().warning("a training runs; the new one is rejected")
                return GoalResponse.REJECT
            self._idle.clear()
        return GoalResponse.ACCEPT

    def _on_cancel(self, _: Any) -> CancelResponse:
        supervisor = self._supervisor
        if supervisor is not None:
            supervisor.stop()
        return CancelResponse.ACCEPT

    async def _execute(self, goal: Any) -> TrainPolicy.Result:
        """Hand the training to a thread and give the executor back until it is over."""

        def show(progress: RunProgress) -> None:
            if goal.is_active:
                goal.publish_feedback(self._feedback(progress))

        supervisor = self._supervisor = Supervisor(show, self._tell)
        if goal.is_cancel_requested:
            supervisor.stop()
        result = await in_thread(self, lambda: self._train(goal.request, supervisor))
        if result.ok:
            goal.succeed()
        elif goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
        return result

    def _feedback(self, progress: RunProgress) -> TrainPolicy.Feedback:
        return TrainPolicy.Feedback(
            iteration=progress.iteration,
            iterations=self._iterations,
            trial=progress.trial,
            trials=progress.trials,
            paused=progress.paused,
            cost=progress.cost,
            kl=progress.kl,
            success=progress.success,
        )

    # --- the training, in its thread ---

    def _train(self, goal: TrainPolicy.Goal, supervisor: Supervisor) -> TrainPolicy.Result:
        """Train as asked; however it ends, it is told, and what was complete is kept."""
        result = TrainPolicy.Result()
        try:
            directory = self._directory(goal)
            result.run_directory = str(directory.path.resolve())
            with GraphClient(self.get_namespace(), timeout=20.0, guard=self._check_ending) as graph:
                graph.wait_for_services(NEEDED, self._wait)
                finished = self._run(directory, graph, supervisor)
                result.policy, gave = self._give(directory, graph)
            where = f"after iteration {directory.newest} of {directory.description.iterations}"
            result.ok = finished
            result.message = f"{'finished' if finished else 'stopped'} {where}; {gave}"
            self.get_logger().info(f"{result.message}; everything is in {result.run_directory}")
        except MbplError as error:
            result.message = str(error)
            self.get_logger().error(f"training: {error}")
        except Exception as error:  # noqa: BLE001 - a training that fails must end its action, with the reason
            result.message = f"training failed: {error!r}"
            self.get_logger().error(result.message)
        finally:
            self._supervisor = None
            self._idle.set()
            self._diagnostics.say(result.message, OK if result.ok else WARN)
        return result

    def _check_ending(self) -> None:
        if self._ending.is_set():
            raise RefusedError("the trainer was ended; the run can be resumed")

    def _directory(self, goal: TrainPolicy.Goal) -> RunDirectory:
        """The run that is asked for: a new one, or one that exists.

        Raises:
            RefusedError: the one that exists is of another method, seed, task or agent.
            MbplError: it is broken, or a new one cannot begin there.
        """
        path = Path(goal.run_directory) if goal.run_directory else None
        if path is None or not (path / "run.yaml").is_file():
            return new_run(
                goal.method or "lqr_flm",
                str(self._task.path),
                agent="ros",
                seed=int(goal.seed),
                iterations=goal.iterations or None,
                samples=goal.samples or None,
                variant=goal.variant or None,
                output=path,
            )
        directory = RunDirectory.open(path)
        found = directory.description
        asked = {
            "method": goal.method or found.method,
            "agent": "ros",
            "seed": int(goal.seed),
            "task": self._task.name,
            "iterations": goal.iterations or found.iterations,
        }
        wrong = [f"{key} {getattr(found, key)}" for key, value in asked.items() if getattr(found, key) != value]
        if wrong:
            raise RefusedError(f"{path} holds a run with {', '.join(wrong)}; ask for the same, or choose another")
        return directory

    def _run(self, directory: RunDirectory, graph: GraphClient, supervisor: Supervisor) -> bool:
        description = directory.description
        learner = build_learner(
            description.method,
            self._task,
            description.seed,
            description.iterations,
            description.options["samples"],
            description.options["variant"],
        )
        directory.begin()
        self._iterations = description.iterations
        self.get_logger().info(
            f"{description.method} on {self._task.name}, seed {description.seed}: iteration {directory.newest} of "
            f"{description.iterations} in {directory.path}"
        )
        runner = AgentRunner(RosAgent(self._task, graph))
        finished = TrainingRun(directory, learner, runner, supervisor).run()
        if directory.newest:
            write_report(directory)
        return finished

    def _give(self, directory: RunDirectory, graph: GraphClient) -> tuple[str, str]:
        """Give what was learned to the graph: the policy's file, empty when there is none, and an account in words."""
        saved = directory.iterations()
        if not saved:
            return "", "nothing was learned yet"
        names, newest = [], saved[-1].learner
        for path in sorted((newest / "controllers").glob("*.npz")):
            controller = LinearGaussianController.load(path)
            name = LEARNED + path.stem.rpartition("_")[2]
            graph.load(
                LoadController.Request(
                    name=name,
                    type="linear_gaussian",
                    mode="mean",
                    law=[convert.controller_to_msg(controller)],
                    replace=True,
                )
            )
            names.append(name)
        account = f"the manager has {', '.join(names)}"
        policy = newest / "policy.npz"
        if not policy.is_file():
            return "", account
        graph.set_checkpoint(policy.resolve(), POLICY_NODE)
        return str(policy.resolve()), f"{account}; {POLICY_NODE} has the policy"

    def _figures(self) -> dict[str, object]:
        return {"running": not self._idle.is_set(), "iterations": self._iterations}

    def _tell(self, report: IterationReport) -> None:
        keys = [key for key in ("cost", "kl", "eta", "success") if all(key in row for row in report.rows)]
        figures = ", ".join(f"{key} {report.mean(key):.4g}" for key in keys)
        seconds = ", ".join(f"{name} {value:.1f} s" for name, value in report.seconds.items())
        self.get_logger().info(f"iteration {report.iteration}: {figures} ({seconds})")
        self._diagnostics.say(f"iteration {report.iteration}: {figures}")
        for event in report.events:
            self.get_logger().warning(event)

    # --- what a person may say ---

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> Any:
        supervisor = self._supervisor
        if supervisor is None:
            response.message = "no training runs"
            return response
        supervisor.pause(request.data)
        response.success = True
        response.message = "it waits after the trial that runs" if request.data else "it goes on"
        return response

    def _on_reject(self, _: Trigger.Request, response: Trigger.Response) -> Any:
        try:
            supervisor = self._supervisor
            if supervisor is None:
                raise RefusedError("no training runs")
            number = supervisor.reject()
            response.success, response.message = True, f"trial {number} of the iteration counts as failed"
        except MbplError as error:
            response.message = str(error)
        return response

    def destroy_node(self) -> None:
        """End the training after what is complete, and leave."""
        self._ending.set()
        supervisor = self._supervisor
        if supervisor is not None:
            supervisor.stop()
        self._idle.wait(10.0)
        super().destroy_node()


def main() -> None:
    """Run the node."""
    run_node(GPSTrainer)


if __name__ == "__main__":
    main()
