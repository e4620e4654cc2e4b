"""`mbpl demo-offline`: learn on the graph and record, end it, distil from the bags alone, try the student again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from rich.console import Console

from mbpl_control.agents.pool import AgentRunner
from mbpl_control.agents.ros import RosAgent
from mbpl_control.bags.recorded import find_bags
from mbpl_control.core import LinearGaussianController, MbplError
from mbpl_control.core.validation import check_whole
from mbpl_control.demo.comparison import (
    CONTROLLERS,
    ENSEMBLE,
    OWN_STARTS,
    POLICY,
    STUDENT,
    Law,
    Tried,
    as_json,
    attempt,
    nearest,
    promises,
    table,
)
from mbpl_control.demo.process import LaunchedGraph, own_domain, terminable
from mbpl_control.demo.run import Course, new_directory
from mbpl_control.demo.session import START_DEADLINE
from mbpl_control.demo.summary import promise_lines
from mbpl_control.distill.distillation import DistillationOptions, Distilled, distil
from mbpl_control.distill.ensemble import parameters_of, side_by_side
from mbpl_control.distill.lessons import gather_bags
from mbpl_control.learning.learner import IterationReport
from mbpl_control.learning.registry import build_learner
from mbpl_control.nodes.client import GraphClient
from mbpl_control.runs.beginning import new_run
from mbpl_control.runs.report import write_report
from mbpl_control.runs.training import Observer, TrainingRun
from mbpl_control.tasks import Task, load_task

TASK = "arm_reach_offline"
#: What the local controllers are learned by, and for how many iterations.
METHOD, ITERATIONS = "lqr_flm", 9
#: Networks of the ensemble, and the parameters of its student as a share of theirs.
MEMBERS, SHARE = 5, 0.1
#: Units of the hidden layers of a member; its student's layers are some 85 wide.
MEMBER_HIDDEN = (128, 128)
#: Services that are there once the graph is ready.
SERVICES = ("mujoco_sim/reset", "controller_manager/switch_controller", "neural_policy/plan", "bag_recorder/start")


@dataclass(frozen=True)
class Students:
    """What was distilled.

    Attributes:
        controllers: the laws that taught, as their bags tell them, by start condition.
        policy: taught by the laws.
        ensemble: the members, and their student.
    """

    controllers: dict[int, LinearGaussianController]
    policy: Distilled
    ensemble: Distilled


def run_offline_demo(task_name: str, output: Path | None, seed: int = 0, iterations: int | None = None) -> bool:
    """Run the whole of it; whether every promise was kept.

    Args:
        task_name: name or path of a task with starts to learn from and starts held out.
        output: new directory for bags, policies and logs; `runs/demo-offline-<time>` when None.
        seed: of everything drawn.
        iterations: of learning; `ITERATIONS` when None.

    Raises:
        MbplError: the directory exists, the graph does not come up or ends, or a bag cannot be read.
    """
    begin, started = time.monotonic(), datetime.now()
    iterations = check_whole(
        "mbpl demo-offline", "--iterations", ITERATIONS if iterations is None else iterations, 1, 1000
    )
    task = load_task(task_name)
    held_out = [c.index for c in task.conditions if c.held_out]
    if not held_out:
        raise MbplError(f"{task.path.name}: no start is held out, so there is none to try a student from")
    directory = new_directory(output or Path("runs") / f"demo-offline-{started:%Y%m%d-%H%M%S}")
    console = Console()
    taught = len(task.conditions) - len(held_out)
    console.print(
        f"[bold]mbpl demo-offline[/] {task.name}: {taught} starts taught, {len(held_out)} asked → {directory}"
    )
    with Course(console, steps=iterations + taught + 4 * len(held_out) + 5) as course:
        demo = OfflineDemo(task, directory, seed, course)
        demo.learn(iterations)
        students = demo.distil()
        tried = demo.compare(students, held_out)
    size = {
        ENSEMBLE: sum(map(parameters_of, students.ensemble.members)),
        STUDENT: parameters_of(students.ensemble.policy),
    }
    kept = promises(tried, size)
    summary = {
        "task": task.name,
        "task_hash": task.hash,
        "seed": seed,
        "iterations": iterations,
        "started": f"{started:%Y-%m-%d %H:%M:%S}",
        "seconds": time.monotonic() - begin,
        "tried": as_json(tried),
        "promises": [{"text": p.text, "found": p.found, "kept": bool(p.kept)} for p in kept],
        "distillation": {"policy": students.policy.report, "ensemble": students.ensemble.report},
    }
    (directory / "summary.json").write_text(json.dumps(summary, indent=1, allow_nan=False), encoding="utf-8")
    console.print(table(tried))
    for line in promise_lines(kept):
        console.print(line)
    console.print(f"bags and policies: [bold]{directory.resolve()}[/]   ({time.monotonic() - begin:.0f} s)")
    return all(p.kept for p in kept)


class OfflineDemo:
    """The parts, one after the other; each graph is gone when its part returns or raises.

    Args:
        task: what is learned.
        directory: of the demo; exists.
        seed: of everything drawn.
        course: told how it goes on.
    """

    def __init__(self, task: Task, directory: Path, seed: int, course: Course) -> None:
        """Keep them."""
        self._task, self._directory, self._seed, self._course = task, directory, seed, course
        self._recorded = (directory / "bags" / "learning").resolve()

    def learn(self, iterations: int) -> None:
        """Local controllers from trials on the graph, each trial in a bag."""
        task, course = self._task, self._course
        run = new_run(
            METHOD,
            str(task.path),
            agent="ros",
            seed=self._seed,
            iterations=iterations,
            samples=None,
            variant=None,
            output=self._directory / "learning",
        )
        learner = build_learner(METHOD, task, self._seed, iterations)
        run.begin()
        with self._graph("learning.log", self._recorded) as graph:
            course.advance()
            runner = AgentRunner(RosAgent(task, graph, record=True, label="demo-offline, learning"))
            TrainingRun(run, learner, runner, _Watch(course, iterations)).run()
        write_report(run)

    def distil(self) -> Students:
        """A policy, and the student of an ensemble, from the bags alone."""
        task, course = self._task, self._course
        paths = find_bags(self._recorded)
        lessons = gather_bags(paths, task, progress=lambda done, total: course.tell(f"reading bag {done} of {total}"))
        course.say(f"no graph: {lessons.trials} trials of the newest controllers in {self._recorded}")
        course.advance()

        def tell(what: str, done: int, total: int) -> None:
            course.tell(f"distilling: {what}")

        options = DistillationOptions(seed=self._seed)
        policy = distil(task, lessons, options, progress=tell)
        policy.policy.save(self._directory / "policy.npz")
        course.advance()
        whole = DistillationOptions(seed=self._seed, hidden=MEMBER_HIDDEN, members=MEMBERS, share=SHARE)
        ensemble = distil(task, lessons, whole, progress=tell)
        ensemble.policy.save(self._directory / "student.npz")
        side_by_side(ensemble.members).save(self._directory / "ensemble.npz")
        course.advance()
        controllers = {lesson.condition: lesson.laws[0] for lesson in lessons.lessons}
        return Students(controllers, policy, ensemble)

    def compare(self, students: Students, held_out: list[int]) -> dict[str, Tried]:
        """Teacher and students from the starts held out, on a graph of their own."""
        task, course = self._task, self._course
        whole = side_by_side(students.ensemble.members)
        laws: dict[str, dict[int, Law]] = {
            OWN_STARTS: dict(students.controllers),
            CONTROLLERS: dict(nearest(task, students.controllers)),
            POLICY: dict.fromkeys(held_out, students.policy.policy),
            ENSEMBLE: dict.fromkeys(held_out, whole),
            STUDENT: dict.fromkeys(held_out, students.ensemble.policy),
        }
        tried = {}
        with self._graph("held_out.log", (self._directory / "bags" / "held_out").resolve()) as graph:
            course.advance()
            for name, mine in laws.items():
                course.tell(f"{name}: {len(mine)} starts")
                runner = AgentRunner(RosAgent(task, graph, record=True, label=f"demo-offline, {name}"))
                tried[name] = attempt(task, mine, runner, self._seed, course.advance)
                course.say(f"{name}: {1e3 * np.median(tried[name].distances):.1f} mm from the target at the median")
        return tried

    @contextmanager
    def _graph(self, log: str, bags: Path) -> Iterator[GraphClient]:
        """A graph in lockstep with the nodes that learn, and a client of it."""
        task = self._task
        arguments = {
            "task": str(task.path),
            "mode": "lockstep",
            # a state for each step of the task is what a trial needs; more would only take longer
            "rate": str(1.0 / task.dt),
            "seed": str(self._seed),
            "start": "false",
            "record": "true",
            "bags": str(bags),
            "view": "false",
        }
        path = self._directory / log
        with terminable(), LaunchedGraph(arguments, path, "train.launch.py") as launched:
            try:
                with GraphClient(timeout=10.0, guard=launched.check) as graph:
                    self._course.tell(f"waiting for the graph, in ROS domain {own_domain()}")
                    graph.wait_for_services(SERVICES, START_DEADLINE)
                    yield graph
                    self._course.tell("ending the graph")
            except MbplError as error:
                launched.check()
                raise MbplError(f"{error}\nthe log {launched.log} ends with:\n{launched.tail(8)}") from error


class _Watch(Observer):
    """Tells of the learning."""

    def __init__(self, course: Course, iterations: int) -> None:
        """Begin."""
        self._course, self._iterations = course, iterations

    def on_trial(self, iteration: int, done: int, total: int) -> None:
        """See `Observer.on_trial`."""
        self._course.tell(f"learning: iteration {iteration} of {self._iterations}, trial {done} of {total}")

    def on_learning(self, iteration: int) -> None:
        """See `Observer.on_learning`."""
        self._course.tell(f"learning: iteration {iteration} of {self._iterations}")

    def on_iteration(self, report: IterationReport) -> None:
        """See `Observer.on_iteration`."""
        self._course.say(f"iteration {report.iteration}: mean cost of a trial {report.mean('cost'):.0f}")
        self._course.advance()
