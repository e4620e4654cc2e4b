"""A robot that is led into a situation, gets a fault, is judged, and is brought back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from graph import Graph
from judgement import BRAKE, Expected, Judge, Judgement
from mbpl_msgs.srv import LoadController
from observer import Observer, Record
from sources import TOPICS, LawSource
from waits import WINDOW, Waits

from mbpl_control.core import MbplError
from mbpl_control.nodes.client import GraphClient
from mbpl_control.tasks import load_task
from mbpl_control.trajopt.planning import plan_task, task_controller

#: s on the robot's clock after a controller's first command.
MOMENTS = {"blend": 0.03, "early": 0.2, "motion": 0.6, "late": 1.8}
#: Controllers that a source in the test's own hands feeds.
FED = {"fed": "linear_gaussian", "fed_knots": "feedback_law"}
#: Times a repetition is tried on a machine that is too busy for a robot.
TRIES = 5
#: On a machine that can be asked to keep a time: ticks that somebody who sleeps may wake late, part of the wall's time
#: that the robot's clock may lose, part of a state's time-out that a thread on the way may wait for a processor.
LATE, SLOW, WAITING = 4.0, 0.1, 0.5
#: s that DDS may take to forget a server that was killed.
LEASE = 20.0


@dataclass(frozen=True)
class Fault:
    """What goes wrong, what may follow, and how the robot is brought back.

    Attributes:
        name: in words.
        inject: makes it happen.
        expected: what may follow.
        recover: undoes its cause; the controller is then activated by a switch, as after any fallback.
        target: node whose process it takes; all others must go on.
        prepare: done before the moment.
        check: after the fault; violations in words.
        window: s of the wall clock that are judged after the robot is safe.
    """

    name: str
    inject: Callable[[Scene], Any]
    expected: Expected = field(default_factory=Expected)
    recover: Callable[[Scene], Any] = lambda scene: None
    target: str = ""
    prepare: Callable[[Scene], Any] = lambda scene: None
    check: Callable[[Scene], list[str]] = lambda scene: []
    window: float = 0.6


@dataclass(frozen=True)
class Case:
    """A fault while a controller commands, at a moment of its motion.

    Attributes:
        fault: what goes wrong.
        controller: that commands.
        moment: one of `MOMENTS`, "rest", or "phases": repetition i of n at i/n of the motion.
        repetitions: in the campaign.
        core: whether one repetition runs with all other tests.
    """

    fault: Fault
    controller: str
    moment: str = "motion"
    repetitions: int = 2
    core: bool = False

    def __str__(self) -> str:
        """For the names of tests."""
        return f"{self.fault.name}, {self.controller}, {self.moment}"


@dataclass
class Result:
    """A case with the judgements of its repetitions, and how many more the machine spoiled."""

    case: Case
    judgements: list[Judgement] = field(default_factory=list)
    recovered: int = 0
    stalled: int = 0

    @property
    def violations(self) -> list[str]:
        """Of all repetitions."""
        return [v for j in self.judgements for v in j.all]


class Scene:
    """The graph, its observer, a client, and sources of laws.

    Args:
        graph: launched.
        client: of the graph.
        observer: of the graph.
    """

    def __init__(self, graph: Graph, client: GraphClient, observer: Observer) -> None:
        """Wait for the graph, have both planners plan, make the sources known."""
        self.graph, self.client, self.observer = graph, client, observer
        self.task = load_task("arm_reach")
        self.judge = Judge(self.task, graph.pace)
        self.plan = task_controller(self.task, plan_task(self.task, 0))
        self.sources = {name: LawSource(observer, self.task, self.plan, kind) for name, kind in FED.items()}
        self.pool = ThreadPoolExecutor(2)
        self.waits = Waits(graph)
        self.controller = ""
        self.owed = 0.0
        #: of the case with random ones
        self.switches = 1000
        self.bag: Path | None = None
        self.kept: Any = None
        self._since = 0.0
        self._began = time.time()
        wanted = ["mujoco_sim/reset", "controller_manager/switch_controller"]
        wanted += ["ilqr_controller/plan", "mpc_controller/plan"] + ([] if graph.relayed else ["bag_recorder/start"])
        client.wait_for_services(wanted, 90.0)
        graph.meet()
        self.ask(lambda: client.reset_sim(0))
        self.plan_all()
        self.load()

    def close(self) -> None:
        """Fall silent."""
        for source in self.sources.values():
            source.stop()
        self.waits.close()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def plan_all(self) -> None:
        """Have both planners plan from the first start condition."""
        for planner in ("ilqr_controller", "mpc_controller"):
            self.ask(lambda planner=planner: self.client.plan(planner, 0, timeout=20.0))

    def load(self) -> None:
        """Make the controllers of the sources known to a manager that was started."""
        for name, kind in FED.items():
            request = LoadController.Request(name=name, type=kind, source=TOPICS[kind], mode="mean", replace=True)
            self.ask(lambda request=request: self.client.load(request))

    def ask(self, call: Callable[[], Any], deadline: float = 60.0) -> Any:
        """Call a service; to DDS a killed server is there for its lease, so one call may go to nobody."""
        end = time.monotonic() + deadline
        while True:
            try:
                return call()
            except MbplError as error:
                lost = "gave no answer" in str(error) or "nobody" in str(error)
                if not lost or time.monotonic() > end:
                    raise

    # --- a repetition ---

    def begin(self, controller: str) -> None:
        """Put the robot at its start, and have a controller take over from the hold.

        On a machine that is too busy the controller may fall back at once: that is tried again.
        """
        for _ in range(TRIES):
            try:
                self._begin(controller)
                return
            except TimeoutError as error:
                late = error
        raise late

    def _begin(self, controller: str) -> None:
        self.controller, self.owed, self.kept = controller, 0.0, None
        for source in self.sources.values():
            source.stop()
        if self.client.status().mode == "emergency_stop":
            self.ask(self.client.reset_emergency_stop)
        self.ask(lambda: self.client.reset_sim(0))
        self.client.wait_status(lambda s: 0.0 <= s.state_age < self.graph.pace.state_timeout)
        self.ask(lambda: self.client.activate("hold", 20.0, restart=True))
        if controller == "ilqr_mpc":
            # plans from before the reset begin somewhere else
            before = self._law_number("ilqr_mpc")
            self.client.wait_status(lambda s: self._number(s, "ilqr_mpc") >= before + 4, 20.0)
        self.observer.wait_robot(0.1)
        if controller in self.sources:
            self.sources[controller].start()
        self.observer.begin()
        begin = time.time_ns()
        self.ask(lambda: self.client.activate(controller, 20.0, restart=controller == "hold"))
        first = self.observer.wait(self._signed(controller, begin), 2.0, what=controller)
        self._since = 1e-9 * first.stamp

    def at(self, moment: str, share: float) -> None:
        """Wait for a moment of the motion."""
        if moment == "rest":
            after = 2.3 if self.controller != "hold" else 0.1
        else:
            after = 0.02 + 2.4 * share if moment == "phases" else MOMENTS[moment]
        self.observer.wait(lambda r: 1e-9 * r.joints[-1].stamp >= self._since + after, what=moment)

    def repeat(self, case: Case, result: Result, share: float) -> None:
        """One repetition of a case; one that the machine itself spoiled is counted, and done anew."""
        for left in reversed(range(TRIES)):
            judged, late = self._repeat(case, share)
            if judged.grave or not (judged.violations and late and left):
                break
            result.stalled += 1
        result.judgements.append(judged)
        result.recovered += judged.recovered

    def _repeat(self, case: Case, share: float) -> tuple[Judgement, bool]:
        fault, expected = case.fault, case.fault.expected
        self._began = time.time()
        self.begin(case.controller)
        fault.prepare(self)
        self.at(case.moment, share)
        injected = time.time_ns()
        fault.inject(self)
        if expected.safe:
            try:
                self.observer.wait(
                    self._safe(expected.safe, injected), expected.bound(self.graph.pace) + 5.0, expected.safe
                )
            except TimeoutError:
                pass
        self._pass(fault, injected)
        record = self._snapshot()
        judged = self.judge.judge(record, case.controller, expected, injected, self.owed)
        judged.grave += fault.check(self)
        if lost := set(self.graph.dead()) - {fault.target}:
            judged.grave.append(f"{', '.join(sorted(lost))} died with it")
        try:
            fault.recover(self)
            self.recover(case.controller)
            judged.recovered = True
        except (MbplError, TimeoutError) as error:
            judged.violations.append(f"no recovery: {error}")
        return judged, self._late(record, injected, fault.target != "mujoco_sim")

    def _pass(self, fault: Fault, injected: int) -> None:
        """Let the window pass on the robot's clock, or on the wall's where the robot has none."""
        if fault.target == "mujoco_sim":
            time.sleep(fault.window)
        else:
            self.observer.wait_robot(fault.window)
        try:
            # the simulation reports once a second
            self.observer.wait(lambda r: not self.judge.untold(r, fault.expected, injected), 3.0, "the reason")
        except TimeoutError:
            pass
        if fault.expected.safe and fault.expected.still:
            try:
                self.observer.wait(lambda r: self.judge.speed(r) < self.judge.REST, 5.0, "rest")
            except TimeoutError:
                pass

    def _late(self, record: Record, injected: int, robot_runs: bool) -> bool:
        """Whether this machine cannot run a robot.

        Somebody who slept woke late, the robot itself fell silent, its clock fell behind the wall's, or a thread on the
        way from state to command was ready to run for a good part of a state's time-out and did not.
        """
        before = [f for f in record.joints if f.at < injected]
        slow = 0.0
        if len(before) > 1:
            slow = 1.0 - (before[-1].stamp - before[0].stamp) / max(before[-1].at - before[0].at, 1)
        gaps = [b.at - a.at for a, b in pairwise(record.joints if robot_runs else before)]
        latest = max([late for _, late in record.beats] + [1e-9 * gap for gap in gaps], default=0.0)
        waited = self.waits.longest(self._began)
        return slow > SLOW or latest > LATE * self.graph.pace.tick or waited > WAITING * WINDOW

    def recover(self, controller: str) -> None:
        """`mbpl switch`: what brings a controller back once its cause is gone."""
        self.client.wait_status(lambda s: 0.0 <= s.state_age < self.graph.pace.state_timeout, LEASE)
        # a plan that counts from its activation would begin where the robot no more is
        if controller in ("ilqr_feedback", "hold"):
            self.ask(lambda: self.client.reset_sim(0))
            self.client.wait_status(lambda s: 0.0 <= s.state_age < self.graph.pace.state_timeout)
            self.observer.wait_robot(0.05)
        end = time.monotonic() + LEASE
        while True:
            begin = time.time_ns()
            active = controller in [c.name for c in self.ask(self.client.controllers) if c.state == "active"]
            self.ask(lambda active=active: self.client.activate(controller, LEASE, restart=active))
            try:
                self.observer.wait(self._signed(controller, begin), 2.0, f"{controller} after the recovery")
                return
            except TimeoutError:
                # a planner that is starved itself may be too late once more
                if time.monotonic() > end:
                    raise

    def _law_number(self, controller: str) -> int:
        return self._number(self.client.status(), controller)

    @staticmethod
    def _number(status: Any, controller: str) -> int:
        return next(c.law_sequence for c in status.controllers if c.name == controller)

    @staticmethod
    def _signed(controller: str, since: int) -> Callable[[Record], Any]:
        return lambda r: next((c for c in r.commands if c.at > since and c.controller == controller), None)

    def _safe(self, safe: str, since: int) -> Callable[[Record], Any]:
        if safe == BRAKE:
            return lambda r: next((j for j in r.joints if j.at > since and not j.effort.any()), None)
        return self._signed(safe, since)

    def _snapshot(self) -> Record:
        record = self.observer.record
        return Record(*(copy(part) for part in vars(record).values()))

    # --- what faults are made of ---

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a node's process."""
        self.graph.signal(name, number)

    def relay(self, **values: Any) -> None:
        """Set parameters of the relay."""
        self.ask(lambda: self.client.set_parameters("relay", values))

    @contextmanager
    def timed(self) -> Iterator[None]:
        """What the block takes is owed to the way of a request, not to the manager."""
        begin = time.monotonic()
        yield
        self.owed = time.monotonic() - begin

    def record_bag(self) -> None:
        """Have a bag recorded."""
        self.bag = self.graph.bags / f"{time.time_ns()}"
        self.ask(lambda: self.client.start_recording(str(self.bag), json.dumps({"task": "arm_reach"})))
