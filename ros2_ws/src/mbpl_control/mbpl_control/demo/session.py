"""The part of the demo in which the graph runs: start, trials, swaps."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mbpl_msgs.action import RunTrial

from mbpl_control.agents.ros import POLICY_NODE
from mbpl_control.core import MbplError, RefusedError
from mbpl_control.demo.process import LaunchedGraph
from mbpl_control.demo.program import HOLD, MPC, POLICY, SwapSpec, TrialSpec
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.disturbed_trial import run_disturbed_trial
from mbpl_control.tasks import Task

PLANNER, MPC_PLANNER = "ilqr_controller", "mpc_controller"
#: Nodes whose streams begin when they are told, by the controllers that follow them.
STREAMS = {MPC: MPC_PLANNER, POLICY: POLICY_NODE}
#: Services that every part needs.
SERVICES = ("mujoco_sim/reset", "controller_manager/switch_controller", "bag_recorder/start")
#: s of wall time: the graph must be up by then, on a slow machine that compiles for the first time.
START_DEADLINE = 120.0
#: s of wall time for an answer; planning on a busy machine takes a while.
ANSWER_DEADLINE = 60.0
#: Times a trial or a run is tried.
ATTEMPTS = 3
T = TypeVar("T")
_VIEWER = re.compile(r"viewer: (http://\S+)")


class Session:
    """Drives the launched graph.

    Args:
        graph: the client.
        launched: the graph's process, whose log tells where the viewer is.
        task: what runs.
        bags: directory of the bags; exists.
        tell: told what goes on, in words.
        planners: lifecycle nodes that make laws.
    """

    def __init__(
        self,
        graph: GraphClient,
        launched: LaunchedGraph,
        task: Task,
        bags: Path,
        tell: Callable[[str], None],
        planners: tuple[str, ...],
    ) -> None:
        """Keep them."""
        #: trials that were cut short and run again, and why
        self.repeated: list[str] = []
        self._graph, self._launched, self._task, self._bags, self._tell = graph, launched, task, bags, tell
        self._planners = planners

    def start(self) -> None:
        """Wait until every node answers and the planners are active.

        Raises:
            MbplError: one does not come, or the graph ended.
        """
        end = time.monotonic() + START_DEADLINE
        for service in (*SERVICES, *(f"{planner}/plan" for planner in self._planners)):
            self._tell(f"waiting for {service.partition('/')[0]}")
            self._graph.wait_for_services([service], max(end - time.monotonic(), 0.0))
        for planner in self._planners:
            self._tell(f"waiting for {planner} to be active")

            def active(planner: str = planner) -> bool:
                return self._graph.lifecycle_state(planner) == "active"

            self._until(active, end, f"{planner} to be active")
        self._tell("waiting for the first state")
        self._graph.wait_status(lambda status: status.state_age >= 0.0, max(end - time.monotonic(), 0.0))

    def viewer_address(self) -> str:
        """Where the viewer's page is.

        Raises:
            MbplError: the viewer does not come up.
        """
        found: list[str] = []

        def look() -> bool:
            found.extend(_VIEWER.findall(self._launched.log.read_text(errors="replace")))
            return bool(found)

        self._until(look, time.monotonic() + START_DEADLINE, "the viewer")
        return found[0]

    def trial(self, spec: TrialSpec) -> tuple[Path, float]:
        """Run one trial; its bag, and the distance at its end, m.

        Raises:
            RefusedError: it was refused, or cut short every time.
        """
        return self._repeat(spec.name, lambda bag: self._trial(spec, bag))

    def swaps(self, spec: SwapSpec, seed: int) -> Path:
        """Let controllers take over from each other in motion; the bag.

        Raises:
            RefusedError: a switch was refused every time.
        """
        return self._repeat(spec.name, lambda bag: self._swaps(spec, seed, bag))[0]

    def _repeat(self, name: str, attempt: Callable[[Path], T]) -> tuple[Path, T]:
        """Run something that is recorded, up to `ATTEMPTS` times; its bag, and what it returns.

        What the manager's safety contract cuts short, as when a busy machine keeps states away from it, is kept, run
        again, and told in the report.
        """
        for number in range(1, ATTEMPTS + 1):
            bag = self._bags / (name if number == 1 else f"{name}-again{number - 1}")
            try:
                return bag, attempt(bag)
            except RefusedError as error:
                if number == ATTEMPTS or not bag.exists():
                    raise
                self.repeated.append(f"{bag.name}: {error}")
                self._tell(f"{name}: once more")
        raise AssertionError("the last attempt returns or raises")

    def _trial(self, spec: TrialSpec, bag: Path) -> float:
        goal = RunTrial.Goal(
            condition=spec.condition,
            controller=spec.controller,
            seed=spec.seed,
            record=True,
            bag=str(bag),
            label=f"demo, disturbance: {spec.world.text}",
        )

        def show(feedback: RunTrial.Feedback) -> None:
            step = f" {feedback.step} of {feedback.steps}" if feedback.phase == "run" else ""
            self._tell(f"{spec.name}: {feedback.phase}{step}")

        result = run_disturbed_trial(self._graph, goal, spec.world.push, spec.world.mass_scale, on_feedback=show)
        return float(result.final_distance)

    def _swaps(self, spec: SwapSpec, seed: int, bag: Path) -> None:
        graph = self._graph
        if graph.status().active_controller != HOLD:
            graph.activate(HOLD)
        self._tell(f"{spec.name}: plan")
        graph.reset_sim(spec.condition, seed)
        wanted = {controller for _, controller in spec.steps} - {HOLD}
        if PLANNER in self._planners:
            plan = graph.plan(PLANNER, spec.condition, timeout=ANSWER_DEADLINE)
            for name in wanted - STREAMS.keys():
                self._await_law(name, int(plan.sequence))
        metadata = {
            "task": self._task.name,
            "task_hash": self._task.hash,
            "condition": spec.condition,
            "controller": " → ".join([HOLD, *(controller for _, controller in spec.steps)]),
            "seed": seed,
            "label": f"demo, {spec.name}",
        }
        graph.start_recording(str(bag), json.dumps(metadata))
        ending = "aborted"
        try:
            # the horizon of the receding planner begins now: it is told last
            for name in sorted(wanted & STREAMS.keys()):
                goal = graph.plan(STREAMS[name], spec.condition, timeout=ANSWER_DEADLINE)
                self._await_law(name, int(goal.sequence) + 1)
            begin = self._stamp()
            for offset, controller in spec.steps:
                self._until_stamp(begin + offset)
                self._tell(f"{spec.name}: {controller}")
                graph.activate(controller)
            self._until_stamp(begin + spec.duration)
            ending = "completed"
        finally:
            graph.stop_recording(json.dumps({"stop_reason": ending}))

    # --- waiting ---

    def _await_law(self, controller: str, sequence: int) -> None:
        """Wait until the manager has a law of at least this number."""

        def has_law() -> bool:
            return next(c for c in self._graph.controllers() if c.name == controller).law_sequence >= sequence

        self._until(has_law, time.monotonic() + ANSWER_DEADLINE, f"a law of '{controller}'")

    def _stamp(self) -> float:
        stamp = self._graph.status().header.stamp
        return stamp.sec + 1e-9 * stamp.nanosec

    def _until_stamp(self, seconds: float) -> None:
        self._graph.wait_status(
            lambda s: s.header.stamp.sec + 1e-9 * s.header.stamp.nanosec >= seconds, ANSWER_DEADLINE
        )

    def _until(self, look: Callable[[], bool], end: float, what: str) -> None:
        while not look():
            self._launched.check()
            if time.monotonic() > end:
                raise MbplError(f"waited in vain for {what}; see the log {self._launched.log}")
            time.sleep(0.05)
