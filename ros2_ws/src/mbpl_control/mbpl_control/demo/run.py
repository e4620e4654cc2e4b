"""`mbpl demo`: launch the graph, run trials and swaps, read the bags, judge, report."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mbpl_control.core import MbplError
from mbpl_control.core.validation import Array
from mbpl_control.core.versions import versions
from mbpl_control.demo.process import LaunchedGraph, own_domain
from mbpl_control.demo.program import (
    DISTURBED_FACTOR,
    HOLD,
    SAMPLED,
    SWAP_LIMIT,
    SwapSpec,
    TrialSpec,
    swap_specs,
    trial_specs,
)
from mbpl_control.demo.reading import check_bag, read_law, read_swaps, read_trial
from mbpl_control.demo.records import BagCheck, DemoResult, SwapRecord, TrialRecord
from mbpl_control.demo.report import write_report
from mbpl_control.demo.session import Session
from mbpl_control.demo.summary import as_json, judge, promise_lines, rows, terminal_table
from mbpl_control.demo.tube import frame_tube
from mbpl_control.nodes.client import GraphClient
from mbpl_control.tasks import Task, load_task

RATE = 200.0
PACKAGES = ("mujoco", "pin", "numpy", "scipy", "numba", "rosbags", "mcap", "viser")


def run_demo(task_name: str, output: Path | None, view: bool = False, seed: int = 0) -> bool:
    """Run the whole demo; whether every promise was kept.

    Args:
        task_name: name or path of a task whose success is about a frame.
        output: new directory for bags, report and logs; `runs/demo-<time>` when None.
        view: whether to serve a viewer to the browser.
        seed: of all noise.

    Raises:
        MbplError: the directory exists, the graph does not come up or ends, a trial was refused, a bag cannot be read.
    """
    begin, started = time.monotonic(), datetime.now()
    task = load_task(task_name)
    trials, swaps = trial_specs(task, seed), swap_specs(task)
    directory = new_directory(output or Path("runs") / f"demo-{started:%Y%m%d-%H%M%S}")
    console = Console()
    console.print(f"[bold]mbpl demo[/] {task.name}: {len(trials)} trials, {len(swaps)} runs with swaps → {directory}")
    with Course(console, steps=1 + 2 * (len(trials) + len(swaps)) + 1) as course:
        bags, repeated = _run_graph(task, trials, swaps, directory, view, seed, course)
        records, runs, checks = _read(task, trials, swaps, bags, course)
        course.tell("writing the report")
        within = task.success(records[0].states, 0).limit
        when = f"{started:%Y-%m-%d %H:%M:%S}"
        result = _result(task, records, runs, checks, repeated, within, seed, when, begin)
        report = write_report(result, within, directory / "report.html")
        (directory / "summary.json").write_text(json.dumps(as_json(result), indent=2), encoding="utf-8")
        course.advance()
    console.print(terminal_table(rows(result, within, DISTURBED_FACTOR)))
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


def _run_graph(
    task: Task,
    trials: tuple[TrialSpec, ...],
    swaps: tuple[SwapSpec, ...],
    directory: Path,
    view: bool,
    seed: int,
    course: Course,
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Everything that needs the graph, which is gone when this returns or raises.

    Returns:
        Bags by name of the trial or run, and why trials were run again.
    """
    bags: dict[str, Path] = {}
    arguments = {"task": str(task.path), "rate": str(RATE), "seed": str(seed), "view": str(view).lower()}
    domain = own_domain()
    with _terminable(), LaunchedGraph(arguments, directory / "graph.log") as launched:
        try:
            with GraphClient(timeout=10.0, guard=launched.check) as graph:
                session = Session(graph, launched, task, (directory / "bags").resolve(), course.tell)
                since = time.monotonic()
                session.start()
                course.say(f"the graph is up after {time.monotonic() - since:.1f} s, in ROS domain {domain}")
                if view:
                    course.say(f"viewer: [bold]{session.viewer_address()}[/]")
                course.advance()
                course.say("final distance to the target:")
                for trial in trials:
                    bags[trial.name], distance = session.trial(trial)
                    what = f"{trial.controller:<14}  {trial.world.text:<32}  seed {trial.seed}"
                    course.say(f"  {what}  [bold]{1e3 * distance:7.1f} mm[/]")
                    course.advance()
                for spec in swaps:
                    bags[spec.name] = session.swaps(spec, seed)
                    course.say("  swaps: " + " → ".join([HOLD, *(name for _, name in spec.steps)]))
                    course.advance()
                course.tell("ending the graph")
                return bags, tuple(session.repeated)
        except KeyboardInterrupt:
            course.say("[yellow]interrupted: ending the graph[/]")
            raise
        except MbplError as error:
            launched.check()
            raise MbplError(f"{error}{_load()}\nthe log {launched.log} ends with:\n{launched.tail(8)}") from error


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
    within: float,
    seed: int,
    started: str,
    begin: float,
) -> DemoResult:
    """All that the report tells."""
    sampled = next(t for t in records if t.spec.controller == SAMPLED)
    planned, tube = frame_tube(task, read_law(sampled.bag))
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
        tube=tube,
        planned=planned,
        skeletons={t.spec.name: _skeleton(task, t) for t in records},
        bags=tuple(checks),
        repeated=repeated,
        promises=judge(records, runs, checks, within, DISTURBED_FACTOR, SWAP_LIMIT),
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


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the graph as Ctrl-C does."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
