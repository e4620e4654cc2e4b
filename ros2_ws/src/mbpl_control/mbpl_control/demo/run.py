"""`mbpl demo`: launch the graph, run trials and swaps, read the bags, judge, report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np
from mbpl_msgs.action import TrainPolicy
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mbpl_control.agents.ros import POLICY_NODE
from mbpl_control.core import MbplError
from mbpl_control.core.validation import Array
from mbpl_control.core.versions import versions
from mbpl_control.demo import learning
from mbpl_control.demo.learning import LearningRecord
from mbpl_control.demo.process import LaunchedGraph, own_domain, terminable
from mbpl_control.demo.program import (
    HOLD,
    ITERATIONS,
    SAMPLED,
    SwapSpec,
    TrialSpec,
    learned_swap_specs,
    learned_trial_specs,
    swap_specs,
    trial_specs,
)
from mbpl_control.demo.reading import check_bag, read_law, read_swaps, read_trial
from mbpl_control.demo.records import BagCheck, DemoResult, SwapRecord, TrialRecord
from mbpl_control.demo.report import write_report
from mbpl_control.demo.session import MPC_PLANNER, PLANNER, START_DEADLINE, Session
from mbpl_control.demo.summary import as_json, judge, promise_lines, rows, terminal_table
from mbpl_control.nodes.client import GraphClient
from mbpl_control.report.tube import frame_tube
from mbpl_control.tasks import Task, load_task

RATE = 200.0
PACKAGES = ("mujoco", "pin", "numpy", "scipy", "numba", "rosbags", "mcap", "viser")


def run_demo(
    task_name: str, output: Path | None, view: bool = False, seed: int = 0, iterations: int | None = None
) -> bool:
    """Run the whole demo; whether every promise was kept.

    Args:
        task_name: name or path of a task whose success is about a frame.
        output: new directory for bags, report and logs; `runs/demo-<time>` when None.
        view: whether to serve a viewer to the browser.
        seed: of all noise.
        iterations: of guided policy search, `ITERATIONS` when None; 0 leaves out the part that learns.

    Raises:
        MbplError: the directory exists, the graph does not come up or ends, a trial was refused, a bag cannot be read.
    """
    begin, started = time.monotonic(), datetime.now()
    iterations = ITERATIONS if iterations is None else iterations
    task = load_task(task_name)
    trials, swaps = trial_specs(task, seed), swap_specs(task)
    directory = new_directory(output or Path("runs") / f"demo-{started:%Y%m%d-%H%M%S}")
    console = Console()
    learned = None
    of_learned = (len(task.conditions) + 1, len(learned_swap_specs(task))) if iterations else (0, 0)
    count = (len(trials) + of_learned[0], len(swaps) + of_learned[1])
    console.print(f"[bold]mbpl demo[/] {task.name}: {count[0]} trials, {count[1]} runs with swaps → {directory}")
    with Course(console, steps=2 + 2 * sum(count) + (iterations + 2 if iterations else 0)) as course:
        stage = Stage(task, directory, view, seed, course)
        stage.perform(trials, swaps)
        if iterations:
            learned = stage.learn(iterations)
            also = learned_trial_specs(task, seed, learned.controller, learned.policy)
            stage.perform_learned(learned, also, learned_swap_specs(task))
            trials, swaps = (*trials, *also), (*swaps, *learned_swap_specs(task))
        records, runs, checks = _read(task, trials, swaps, stage.bags, course)
        course.tell("writing the report")
        within = task.success(records[0].states, 0).limit
        when = f"{started:%Y-%m-%d %H:%M:%S}"
        result = _result(task, records, runs, checks, tuple(stage.repeated), learned, within, seed, when, begin)
        report = write_report(result, within, directory / "report.html")
        (directory / "summary.json").write_text(json.dumps(as_json(result), indent=2), encoding="utf-8")
        course.advance()
    console.print(terminal_table(rows(result, within)))
    for line in result.repeated:
        console.print(f"[yellow]cut short and run again[/] {escape(line)}")
    for line in promise_lines(result.promises):
        console.print(line)
    console.print(f"report: [bold]{report.resolve()}[/]   ({time.monotonic() - begin:.0f} s)", soft_wrap=True)
    return result.kept


class Course:
    """Shows how far the demo is: a live line on a terminal, and a line for each thing that is done.

    Args:
        console: where to.
        steps: how many things there are to do.
    """

    def __init__(self, console: Console, steps: int) -> None:
        """Begin with nothing done."""
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
        )
        self._bar = self._progress.add_task("starting", total=steps)

    def __enter__(self) -> Course:
        """Show the line."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        self._progress.stop()

    def tell(self, text: str) -> None:
        """What goes on now."""
        self._progress.update(self._bar, description=text)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._progress.console.print(text)

    def advance(self) -> None:
        """One more thing is done."""
        self._progress.advance(self._bar)


def new_directory(path: Path) -> Path:
    """Make the output directory, with one for bags in it.

    Raises:
        MbplError: it exists, or cannot be made.
    """
    if path.exists():
        raise MbplError(f"output directory {path} exists already; nothing was changed. Choose another with --output")
    try:
        (path / "bags").mkdir(parents=True)
    except OSError as error:
        raise MbplError(f"output directory {path} cannot be made: {error}") from error
    return path


class Stage:
    """Everything that needs a graph, one after the other; each graph is gone when its part returns or raises.

    Args:
        task: what runs.
        directory: of the demo.
        view: whether to serve a viewer to the browser.
        seed: of all noise.
        course: told how it goes on.

    Attributes:
        bags: by name of the trial or run.
        repeated: trials that were cut short and run again, and why.
    """

    def __init__(self, task: Task, directory: Path, view: bool, seed: int, course: Course) -> None:
        """Keep them."""
        self.bags: dict[str, Path] = {}
        self.repeated: list[str] = []
        self._task, self._directory, self._seed, self._course = task, directory, seed, course
        self._arguments = {"task": str(task.path), "rate": str(RATE), "seed": str(seed), "view": str(view).lower()}
        self._view = view

    def perform(self, trials: tuple[TrialSpec, ...], swaps: tuple[SwapSpec, ...]) -> None:
        """What is planned on the model: the trials, then the runs with swaps."""
        with self._graph("graph.log", "mbpl.launch.py", {}) as (graph, launched):
            self._play(self._session(graph, launched, (PLANNER, MPC_PLANNER)), trials, swaps)

    def learn(self, iterations: int) -> LearningRecord:
        """Learn from trials on a graph that waits for nobody's clock; what came of it."""
        # a state for each step of the task is what learning needs; more would only take longer
        rate = str(1.0 / self._task.dt)
        arguments = {"mode": "lockstep", "rate": rate, "start": "false", "record": "false", "view": "false"}
        course = self._course
        with self._graph("learning.log", "train.launch.py", arguments) as (graph, _):
            since = time.monotonic()
            course.tell("waiting for the nodes that learn")
            graph.wait_for_services(learning.SERVICES, START_DEADLINE)
            course.say(f"the graph that learns is up after {time.monotonic() - since:.1f} s")
            course.advance()
            seen = [0]

            def show(feedback: TrainPolicy.Feedback) -> None:
                trial = f"trial {feedback.trial} of {feedback.trials}"
                course.tell(f"learning without a model: iteration {feedback.iteration} of {iterations}, {trial}")
                for _ in range(feedback.iteration - 1 - seen[0]):
                    course.advance()
                seen[0] = max(seen[0], feedback.iteration - 1)

            record = learning.learn(graph, self._directory / "learning", iterations, self._seed, show)
            for _ in range(iterations - seen[0]):
                course.advance()
            first, last = record.reports[0], record.reports[-1]
            course.say(
                f"learned from {record.trials} trials in {record.seconds:.0f} s: mean cost of a trial "
                f"[bold]{first.mean('cost'):.0f} → {last.mean('cost'):.0f}[/]"
            )
            return record

    def perform_learned(
        self, learned: LearningRecord, trials: tuple[TrialSpec, ...], swaps: tuple[SwapSpec, ...]
    ) -> None:
        """What was learned, in real time."""
        arguments = {"start": "false", "record": "true"}
        with self._graph("learned.log", "train.launch.py", arguments) as (graph, launched):
            session = self._session(graph, launched, (POLICY_NODE,))
            learning.give(graph, learned)
            self._play(session, trials, swaps)

    @contextmanager
    def _graph(self, log: str, file: str, arguments: dict[str, str]) -> Iterator[tuple[GraphClient, LaunchedGraph]]:
        """A graph and a client of it, with errors that show the end of its log."""
        domain = own_domain()
        path = self._directory / log
        with terminable(), LaunchedGraph({**self._arguments, **arguments}, path, file) as launched:
            try:
                with GraphClient(timeout=10.0, guard=launched.check) as graph:
                    self._course.tell(f"waiting for the graph, in ROS domain {domain}")
                    yield graph, launched
                    self._course.tell("ending the graph")
            except KeyboardInterrupt:
                self._course.say("[yellow]interrupted: ending the graph[/]")
                raise
            except MbplError as error:
                launched.check()
                raise MbplError(f"{error}{_load()}\nthe log {launched.log} ends with:\n{launched.tail(8)}") from error

    def _session(self, graph: GraphClient, launched: LaunchedGraph, planners: tuple[str, ...]) -> Session:
        """A session on a graph that has come up."""
        bags, course = (self._directory / "bags").resolve(), self._course
        session = Session(graph, launched, self._task, bags, course.tell, planners)
        since = time.monotonic()
        session.start()
        course.say(f"the graph is up after {time.monotonic() - since:.1f} s, in ROS domain {own_domain()}")
        if self._view:
            course.say(f"viewer: [bold]{session.viewer_address()}[/]")
        course.advance()
        return session

    def _play(self, session: Session, trials: tuple[TrialSpec, ...], swaps: tuple[SwapSpec, ...]) -> None:
        """Trials, then runs with swaps."""
        course = self._course
        course.say("final distance to the target:")
        for trial in trials:
            self.bags[trial.name], distance = session.trial(trial)
            start = f"start {trial.condition}"
            what = f"{trial.controller:<14}  {start}  {trial.world.text:<32}  seed {trial.seed}"
            course.say(f"  {what}  [bold]{1e3 * distance:7.1f} mm[/]")
            course.advance()
        for spec in swaps:
            self.bags[spec.name] = session.swaps(spec, self._seed)
            course.say("  swaps: " + " → ".join([HOLD, *(name for _, name in spec.steps)]))
            course.advance()
        self.repeated += session.repeated


def _read(
    task: Task, trials: tuple[TrialSpec, ...], swaps: tuple[SwapSpec, ...], bags: dict[str, Path], course: Course
) -> tuple[list[TrialRecord], list[SwapRecord], list[BagCheck]]:
    """What happened, from the bags alone; those of trials that were cut short are checked too."""
    records, runs, checks = [], [], []
    for trial in trials:
        course.tell(f"reading {trial.name}")
        records.append(read_trial(task, trial, bags[trial.name]))
        course.advance()
    for spec in swaps:
        course.tell(f"reading {spec.name}")
        runs.append(read_swaps(task, spec, bags[spec.name]))
        course.advance()
    for bag in sorted(records[0].bag.parent.iterdir()):
        course.tell(f"checking {bag.name}")
        checks.append(check_bag(bag))
    return records, runs, checks


def _result(
    task: Task,
    records: list[TrialRecord],
    runs: list[SwapRecord],
    checks: list[BagCheck],
    repeated: tuple[str, ...],
    learned: LearningRecord | None,
    within: float,
    seed: int,
    started: str,
    begin: float,
) -> DemoResult:
    """All that the report tells."""
    sampled = next(t for t in records if t.spec.controller == SAMPLED)
    planned, spread = frame_tube(task, read_law(task, sampled.bag))
    frame, target = task.success_frame, task.condition(0).target
    assert frame is not None and target is not None
    return DemoResult(
        task=task.name,
        target=target,
        frame=frame,
        joint_names=task.robot.joint_names,
        limits=task.action.upper,
        units=task.action.units,
        rate=RATE,
        seed=seed,
        trials=tuple(records),
        swaps=tuple(runs),
        tube=np.sqrt(np.einsum("tii->ti", spread)),
        planned=planned,
        skeletons={t.spec.name: _skeleton(task, t) for t in records},
        bags=tuple(checks),
        repeated=repeated,
        learned=learned,
        promises=judge(records, runs, checks, within, [c.index for c in task.conditions if not c.held_out]),
        versions=_versions(),
        started=started,
        seconds=time.monotonic() - begin,
    )


def _skeleton(task: Task, trial: TrialRecord) -> Array:
    """Origins of the bodies and the frame, in order, at each step. (T+1, B, 3) m."""
    q = trial.states[:, : task.robot.nq]
    bodies = [task.robot.kinematics.positions(body, q) for body in task.robot.body_names]
    return np.stack([*bodies, trial.points], axis=1)


def _versions() -> dict[str, str]:
    """Of what ran, the middleware among it."""
    middleware = os.environ.get("RMW_IMPLEMENTATION", "default")
    return {"ROS 2": f"{os.environ.get('ROS_DISTRO', 'jazzy')}, {middleware} middleware", **versions(PACKAGES)}


def _load() -> str:
    """What to say of a machine that has more to do than it can, which real time does not forgive; empty for another."""
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load <= 1.5 * processors:
        return ""
    return f"\nthe machine is busy: load {load:.1f} on {processors} processors; real time needs it idle"
