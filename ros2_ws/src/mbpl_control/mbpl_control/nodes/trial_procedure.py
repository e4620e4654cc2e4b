"""The course of one trial on the graph: bring the robot to the start, plan, activate, watch, leave it held."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from mbpl_msgs import msg, srv

from mbpl_control.agents.collector import TrialCollector
from mbpl_control.core import MbplError, RefusedError, Trial
from mbpl_control.core.validation import Array
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.graph_calls import GraphCalls
from mbpl_control.runtime.approach import approach_law
from mbpl_control.tasks import Task

Found = TypeVar("Found")

#: The law that leads a real robot to a start is loaded under this name.
APPROACH = "approach"
#: How far from a start position a robot may rest after the approach, rad or m.
START_TOLERANCE = 0.05
#: s of wall time for a controller to get a fresh law of its stream before it takes over.
FIRST_LAW_DEADLINE = 5.0
#: s of wall time after the last state of a trial for the command that answers it.
LAST_ANSWER_DEADLINE = 1.0


@dataclass(frozen=True)
class TrialOrder:
    """What is asked for.

    Attributes:
        controller: name of a controller of the manager.
        condition: start condition, whose target counts.
        start: x (nq + nv,) of another start; the condition's own when None.
        seed: of all noise.
        record: whether a bag is written.
        bag: its directory; named by the recorder when empty.
        label: free text.
        iteration: of learning, kept in the bag; 0 for none.
        timeout: s of wall time for the whole trial.
    """

    controller: str
    condition: int
    start: Array | None
    seed: int
    record: bool
    bag: str
    label: str
    iteration: int
    timeout: float


@dataclass(frozen=True)
class TrialOutcome:
    """What came of it.

    Attributes:
        trial: the trial.
        start_ns: stamp of the state its first step began with.
        final_distance: at the end, m or rad; NaN when the task has no rule.
        bag: its directory; empty when none was written.
        note: what went wrong with the bag; empty when nothing did.
    """

    trial: Trial
    start_ns: int
    final_distance: float
    bag: str
    note: str = ""


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


class TrialProcedure:
    """Runs trials one at a time, from a thread that no executor spins.

    Args:
        graph: calls to the other nodes.
        task: the task.
        simulated: whether the robot is a simulation that can be put at a start; a real one is led there.
        lockstep: whether the simulation waits for commands; it is left paused after a trial: nobody watches it then.
        settle_time: s of simulated time with locked joints before the controller takes over.
        approach_speed: fraction of the speed limits used on the way to the start.
        report: told (phase, step, steps) as the trial goes on.
        publish: given each trial that got over its first step, and the stamp of its start, ns.
    """

    def __init__(
        self,
        graph: GraphCalls,
        task: Task,
        simulated: bool,
        lockstep: bool,
        settle_time: float,
        approach_speed: float,
        report: Callable[[str, int, int], None],
        publish: Callable[[Trial, int], None],
    ) -> None:
        """Wait for an order."""
        self._graph, self._task = graph, task
        self._simulated, self._lockstep = simulated, lockstep
        self._settle_time, self._approach_speed = settle_time, approach_speed
        self._report, self._publish = report, publish
        self._collector: TrialCollector | None = None
        self._changed = threading.Condition()
        self._robot: Array | None = None
        #: stamp of the state that the newest command answers, and the command's number
        self._command = (-1, 0)
        #: whether states and commands are of interest
        self.listening = False
        self._status: msg.ManagerStatus | None = None
        self.cancelled = threading.Event()

    # --- what is heard, from the executor's thread ---

    def on_state(self, message: msg.RobotState) -> None:
        """A state of the robot."""
        robot = np.concatenate([np.array(message.position), np.array(message.velocity)])
        with self._changed:
            self._robot = robot
            if self._collector is not None:
                stamp = convert.time_to_ns(message.header.stamp)
                self._collector.on_state(stamp, np.array(message.state), robot)
                if self._collector.complete:
                    self._changed.notify_all()

    def on_command(self, message: msg.JointCommand) -> None:
        """A command of the manager."""
        stamp = convert.time_to_ns(message.header.stamp)
        with self._changed:
            self._command = (stamp, message.sequence)
            if self._collector is not None:
                self._collector.on_command(stamp, message.controller, np.array(message.values))
                if self._collector.interrupted_by or self._collector.answered:
                    self._changed.notify_all()

    def on_status(self, message: msg.ManagerStatus) -> None:
        """A status of the manager."""
        with self._changed:
            self._status = message
            self._changed.notify_all()

    # --- the course ---

    def run(self, order: TrialOrder) -> TrialOutcome:
        """Run a trial from beginning to end.

        Raises:
            MbplError: it could not begin, or was stopped before one step was over; the robot is held.
        """
        self.cancelled.clear()
        self._command = (-1, 0)
        self.listening = True
        deadline = time.monotonic() + order.timeout
        condition = self._task.condition(order.condition)
        start = condition.state if order.start is None else order.start
        names = [c.name for c in self._graph.controllers()]
        if order.controller not in names:
            raise RefusedError(f"no controller '{order.controller}'; the manager has: {', '.join(names)}")
        bag = ""
        if order.record:
            bag = self._graph.start_recording(order.bag, json.dumps(self._metadata(order)))
        try:
            self._bring_to(start, order.seed, deadline)
            sequence = self._plan(order, start)
            trial, robot, start_ns = self._execute(order, deadline)
            entry = self._controller(order.controller)
            trial = replace(trial, metadata={**trial.metadata, "law_sequence": sequence})
        except MbplError as error:
            self._finish(order, bag, {"stop_reason": f"aborted: {error}"})
            raise
        # told while the bag is open, so that it holds its own trial
        self._publish(trial, start_ns)
        distance = float(self._task.distances(robot[-1], order.condition))
        note = self._finish(
            order,
            bag,
            {
                "stop_reason": trial.stop_reason,
                "steps": trial.steps,
                "cost": _finite(trial.cost),
                "success": trial.success,
                "final_distance": _finite(distance),
                "law": {"type": entry.type, "mode": entry.mode, "source": entry.source, "sequence": sequence},
            },
        )
        return TrialOutcome(trial, start_ns, distance, bag, note)

    def _finish(self, order: TrialOrder, bag: str, ending: dict[str, object]) -> str:
        """Leave the robot held and the bag closed, whatever happened; what went wrong with the bag, in words."""
        with self._changed:
            self._collector = None
        self.listening = False
        try:
            self._leave_held(order.controller)
        finally:
            note = ""
            if bag:
                try:
                    self._graph.stop_recording(json.dumps(ending))
                except MbplError as error:
                    # the trial itself is not lost with its bag
                    note = f"bag {bag}: {error}"
        return note

    def _metadata(self, order: TrialOrder) -> dict[str, object]:
        metadata: dict[str, object] = {
            "task": self._task.name,
            "task_hash": self._task.hash,
            "condition": order.condition,
            "controller": order.controller,
            "seed": order.seed,
            "label": order.label,
        }
        return metadata | ({"iteration": order.iteration} if order.iteration else {})

    # --- to the start ---

    def _bring_to(self, start: Array, seed: int, deadline: float) -> None:
        if self._simulated:
            self._report("reset", 0, 0)
            self._wait(
                lambda: True if self._status is not None and self._status.state_age >= 0.0 else None,
                deadline,
                "the manager to see the robot",
            )
            self._graph.activate("hold", restart=True)
            # while the joints are locked the manager comes to hold the robot where it now is, whatever came before
            released = self._graph.reset_sim_to(start, seed, self._settle_time)
            if not self._lockstep:
                # states that got lost may hide the reset from the manager, which would pull at the locked joints
                self._graph.activate("hold", restart=True)
            answered = self._answer_to(released, 0, deadline)
            # held anew from exactly here: what the law takes over then depends on this state and no other
            self._graph.activate("hold", restart=True)
            self._answer_to(released, answered, deadline)
            return
        self._report("settle", 0, 0)
        robot = self._wait(lambda: self._robot, deadline, "a state of the robot")
        goal = start[: self._task.robot.nq]
        law = approach_law(self._task, robot[: self._task.robot.nq], goal, self._approach_speed)
        message = convert.controller_to_msg(law)
        self._graph.load(
            srv.LoadController.Request(name=APPROACH, type="linear_gaussian", mode="mean", law=[message], replace=True)
        )
        self._graph.activate(APPROACH, restart=True)
        self._wait(
            lambda: self._status is not None and self._status.active_controller != APPROACH or None,
            time.monotonic() + 5.0 + 3.0 * law.duration,
            "the end of the approach",
        )
        self._wait(lambda: self._at_rest(goal), deadline, "the robot to rest at the start")

    def _answer_to(self, stamp_ns: int, after: int, deadline: float) -> int:
        """Wait for a command that answers a state of `stamp_ns` or later, numbered above `after`; its number."""

        def look() -> int | None:
            stamp, sequence = self._command
            return sequence if stamp >= stamp_ns and sequence > after else None

        return self._wait(look, deadline, "the manager to hold the robot at the start")

    def _at_rest(self, goal: Array) -> bool | None:
        robot = self._robot
        if robot is None:
            return None
        q, v = self._task.robot.split(robot)
        near = np.abs(q - goal)[self._task.robot.actuated].max() < START_TOLERANCE
        return True if near and np.abs(v).max() < START_TOLERANCE else None

    def _plan(self, order: TrialOrder, start: Array) -> int:
        """Have the planner, if there is one, plan for this start, and the manager take its law; the law's number."""
        entry = self._controller(order.controller)
        planner = entry.source.rpartition("/")[0]
        # laws of other sources come by themselves; while there is none, a planner may still be starting up
        if not planner or (entry.law_sequence and not self._graph.offers(f"{planner}/plan")):
            return int(entry.law_sequence)
        self._report("plan", 0, 0)
        measured = None if self._simulated else self._robot
        answer = self._graph.plan(planner, order.condition, start if measured is None else measured)

        def has_law() -> int | None:
            current = self._controller(order.controller)
            return current.law_sequence if current.law_sequence >= max(int(answer.sequence), 1) else None

        return self._wait(has_law, time.monotonic() + 10.0, f"the manager to take the law of {planner}")

    # --- the trial itself ---

    def _controller(self, name: str) -> msg.ControllerState:
        """A controller as the manager knows it now."""
        return next(c for c in self._graph.controllers() if c.name == name)

    def _execute(self, order: TrialOrder, deadline: float) -> tuple[Trial, Array, int]:
        self._report("activate", 0, 0)
        self._graph.set_parameters("controller_manager", {"seed": order.seed})
        collector = TrialCollector(self._task, order.controller, order.condition, order.seed)
        with self._changed:
            self._collector = collector
        # a stream of laws may be late on a busy machine
        self._graph.activate(order.controller, FIRST_LAW_DEADLINE, restart=True)
        if self._simulated:
            self._graph.pause_sim(False)
        stop_reason = self._until_over(collector, order, deadline)
        with self._changed:
            trial, robot = collector.trial(stop_reason)
        self._report("finish", collector.step, collector.steps)
        assert collector.start_ns is not None  # noqa: S101 - there is a trial
        return trial, robot, collector.start_ns

    def _until_over(self, collector: TrialCollector, order: TrialOrder, deadline: float) -> str:
        """Wait until all of a trial has been heard, or it was cut short; why it stopped."""
        shown = 0.0
        while not self._heard(lambda: collector.complete or collector.interrupted_by != "", 0.1):
            if self.cancelled.is_set():
                return "aborted: cancelled"
            if time.monotonic() > deadline:
                return f"aborted: not over within {order.timeout:g} s of wall time"
            if time.monotonic() - shown > 0.1:
                shown = time.monotonic()
                self._report("run", collector.step, collector.steps)
            # one that was activated and replaced before it commanded at all leaves nothing that could be heard
            if collector.start_ns is None and order.controller not in self._active():
                return f"aborted: it was replaced before its first command: {self._why(order.controller)}"
        # a manager that died since the last state is no reason to lose the trial
        self._heard(lambda: collector.answered or collector.interrupted_by != "", LAST_ANSWER_DEADLINE)
        if collector.interrupted_by:
            return f"aborted: {collector.interrupted_by} took over: {self._why(order.controller)}"
        return "completed"

    def _heard(self, what: Callable[[], bool], timeout: float) -> bool:
        """Wait up to `timeout` s of wall time until what was heard makes `what` true; whether it did."""
        with self._changed:
            return self._changed.wait_for(what, timeout)

    def _why(self, controller: str) -> str:
        """Why `controller` commands no more, in the manager's words, which may lag behind the command that shows it."""
        if not self._heard(lambda: self._status is not None and self._status.active_controller != controller, 1.0):
            return "the manager gave no reason"
        assert self._status is not None  # noqa: S101 - it was heard
        return str(self._status.reason)

    def _active(self) -> list[str]:
        """Names of the controllers that command now."""
        return [c.name for c in self._graph.controllers() if c.state == "active"]

    def _leave_held(self, controller: str) -> None:
        """Whatever happened, the robot holds still afterwards; a simulation nobody watches is paused."""
        active = self._active()
        if controller in active or APPROACH in active:
            self._graph.activate("hold")
        if self._simulated:
            self._graph.pause_sim(self._lockstep)

    def _wait(self, look: Callable[[], Found | None], deadline: float, what: str) -> Found:
        """The first result of `look` that is not None.

        Raises:
            RefusedError: cancelled, or the deadline passed.
        """
        while True:
            found = look()
            if found is not None:
                return found
            if self.cancelled.is_set():
                raise RefusedError(f"cancelled while waiting for {what}")
            if time.monotonic() > deadline:
                raise RefusedError(f"waited in vain for {what}")
            with self._changed:
                self._changed.wait(0.02)
