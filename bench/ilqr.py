"""iLQR against Crocoddyl's FDDP: reaches of arms, the same model, cost and first guess, one thread each, in turns.

Three parts: one reach of the Panda, phase by phase; ten goals for each of four arms; and how the time grows with the
steps and the joints. Ours is measured in both forms, with the action as the control (forward dynamics) and with the
acceleration (inverse dynamics), on the robot's generated kernels; the first reach by Pinocchio's bindings, too. With
--no-peer ours are compared alone.

All solve from the same first guess until the cost is within 1e-6 of the optimum. The number of iterations that takes
is found first; then solves of exactly that many iterations are timed in turns, so that whatever else the machine does
meets all alike. Before anything is timed, they must agree on the cost of the first guess, on every step of the model
along Crocoddyl's solution, and on its cost; at the first reach on the optimum, too. Elsewhere it is told who ended at
another one.
"""

from __future__ import annotations

import os

# before numpy: a library that has started its threads does not let go of them
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))

import argparse  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import ExitStack  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from ilqr_problems import ARMS, COST, PANDA, PANDA_TARGET, STEPS, Arm, Problem, chain, goals, pose, read  # noqa: E402
from ilqr_sides import (  # noqa: E402
    BINDINGS,
    FORWARD,
    INVERSE,
    PEER,
    SAME,
    Disagreement,
    Optima,
    Ours,
    Peer,
    agree,
    take_turns,
)
from report import Row, report  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
#: Of the time of Crocoddyl, at the reach of the Panda.
TARGETS = {FORWARD: 0.2, INVERSE: 0.1}
GOALS = 10
#: How the time grows: steps of the Panda's reach; joints of a chain of the bench's own.
LENGTHS = (50, 100, 200, 500, 1000)
JOINTS = (2, 4, 7, 10, 14)
#: What the rows call the phases of ours, in both forms.
PHASES = {
    "derivatives of model and cost": ("linearize", "quadratize"),
    "derivatives of the model": ("linearize",),
    "derivatives of the cost": ("quadratize",),
    "backward pass": ("backward",),
    "forward pass": ("rollout", "evaluate"),
    "forward pass and derivatives at once": ("rollout_linearized", "quadratize"),
    "law of the action, once at the end": ("law",),
}


@dataclass
class Run:
    """One run of the bench.

    Attributes:
        peer: None where ours are compared alone.
        directory: for files of problems.
        rounds: turns of the first reach; each goal has a quarter of them, each size half.
        title: of the peer, in rows.
        details: kept beside the rows.
    """

    peer: Peer | None
    directory: Path
    rounds: int
    title: str = PEER
    details: dict[str, Any] = field(default_factory=dict)
    _files: int = 0

    def pose(self, arm: Arm, target: Any = None, steps: int = STEPS) -> Problem:
        """A problem of an arm; to the first of its goals unless a target is given."""
        robot = read(arm, self.directory)
        self._files += 1
        target = goals(robot, arm, 1)[0] if target is None else target
        return pose(arm, robot, target, steps, self.directory / f"problem{self._files}.json")

    def called(self, name: str) -> str:
        """What rows call a side."""
        return self.title if name == PEER else f"mbpl by {name}"

    def keep(self, part: str, problem: Problem, optima: Optima, samples: dict[str, list[float]]) -> None:
        """Keep what is told of one problem."""
        medians = {side: float(np.median(samples[side])) for side in optima.costs if side in samples}
        told = {"problem": problem.name, "optima": optima.costs, "iterations": optima.counts, "seconds": medians}
        self.details.setdefault(part, []).append(told)


def followed(things: Any, what: str) -> Any:
    """The things, with a bar on a screen."""
    return track(things, what, console=Console(stderr=True), transient=True)


def ms(name: str, samples: Any, per: int = 1) -> Row:
    """A row of times given in s."""
    return Row.of_samples(name, (1e3 / per * np.asarray(samples)).tolist(), "ms")


def reach(run: Run) -> list[Row]:
    """One reach of the Panda, phase by phase."""
    problem = run.pose(PANDA, PANDA_TARGET)
    sides = {name: Ours(problem, name) for name in (FORWARD, INVERSE, BINDINGS)}
    optima = agree(problem, sides, run.peer)
    for name in optima.costs:
        if not optima.at_best(name):
            raise Disagreement(f"{name} ended at {optima.costs[name]:.9g}, the first at {optima.best:.9g}")
    samples = take_turns(problem, sides, run.peer, optima, range(-3, run.rounds), phases=True)
    run.keep("reach", problem, optima, samples)

    def ratio(what: str, over: str, under: str, target: float | None = None) -> Row:
        pairs = np.array(samples[over]) / np.array(samples[under])
        return Row.of_samples(f"Panda: {what} per solve", pairs.tolist(), "1", target)

    table = [ratio("generated kernels over bindings, both forward,", FORWARD, BINDINGS)]
    table.append(ratio("inverse over forward dynamics", INVERSE, FORWARD))
    if run.peer is not None:
        table[:0] = [ratio(f"ratio by {name}", name, PEER, TARGETS.get(name)) for name in sides]
    knots = 1e6 / STEPS * np.array(samples[f"{FORWARD} linearize"])
    name = f"{run.called(FORWARD)}: derivatives of the model, a knot"
    table.append(Row.of_samples(name, knots.tolist(), "us", target=2.0))
    for name, count in optima.counts.items():
        title = run.called(name)
        table += [
            ms(f"{title}: time to the same cost", samples[name]),
            Row(f"{title}: iterations to the same cost", count, "1"),
            ms(f"{title}: time per iteration", samples[name], per=count),
        ]
        if name == PEER:
            table += [ms(f"{title}: {phase}", samples[f"{PEER} {phase}"]) for phase in ("derivatives", "backward")]
            table.append(ms(f"{title}: forward", samples[f"{PEER} forward"]))
        for phase, keys in PHASES.items() if name != PEER else ():
            known = [np.array(samples[f"{name} {key}"]) for key in keys if f"{name} {key}" in samples]
            if f"{name} {keys[0]}" in samples:
                table.append(ms(f"{title}: {phase}", sum(known)))
    return table


def many_goals(run: Run) -> list[Row]:
    """Ten drawn goals for each arm."""
    table = []
    for arm in ARMS:
        robot = read(arm, run.directory)
        ended: dict[str, dict[str, int]] = {}
        iterations: dict[str, list[float]] = {}
        ratios: dict[str, list[float]] = {}
        for target in followed(goals(robot, arm, GOALS), f"goals of {arm.name}"):
            problem = run.pose(arm, target)
            sides = {name: Ours(problem, name) for name in (FORWARD, INVERSE)}
            optima = agree(problem, sides, run.peer)
            samples = take_turns(problem, sides, run.peer, optima, range(-1, max(1, run.rounds // 4)))
            run.keep("goals", problem, optima, samples)
            for name, count in optima.counts.items():
                iterations.setdefault(name, []).append(count)
                where = "same" if optima.at_best(name) else "better" if optima.lower(name) else "worse"
                ended.setdefault(name, dict.fromkeys(("same", "better", "worse"), 0))[where] += 1
                if run.peer is not None and name != PEER and where == "same":
                    pairs = np.array(samples[name]) / np.array(samples[PEER])
                    ratios.setdefault(name, []).append(float(np.median(pairs)))
        for name, values in ratios.items():
            table.append(Row.of_samples(f"{arm.name}, {len(values)} goals: ratio by {name} per solve", values, "1"))
            table.append(Row(f"{arm.name}: the largest of these ratios", max(values), "1"))
        first = next(iter(ended))
        for name, counts in ended.items():
            if name != first:
                told = f"of {GOALS} goals, at the optimum of {run.called(first)}"
                table.append(Row(f"{arm.name}, {run.called(name)}: {told}", counts["same"], "1"))
            for where in ("better", "worse"):
                if counts[where]:
                    told = f"at a {where} one, not in the ratio"
                    table.append(Row(f"{arm.name}, {run.called(name)}: {told}", counts[where], "1"))
        for name, numbers in iterations.items():
            table.append(Row.of_samples(f"{arm.name}, {run.called(name)}: iterations", numbers, "1"))
    return table


def growth(run: Run) -> list[Row]:
    """Time of an iteration by the number of steps and of joints."""
    sizes: list[tuple[str, Arm, Any, int]] = [
        (f"Panda, {steps} steps", PANDA, PANDA_TARGET, steps) for steps in LENGTHS
    ]
    sizes += [(f"{n} joints, {STEPS} steps", chain(("xy" * n)[:n]), None, STEPS) for n in JOINTS]
    table = []
    for size, arm, target, steps in followed(sizes, "sizes"):
        problem = run.pose(arm, target, steps)
        sides = {name: Ours(problem, name) for name in (FORWARD, INVERSE)}
        optima = agree(problem, sides, run.peer)
        samples = take_turns(problem, sides, run.peer, optima, range(-1, max(1, run.rounds // 2)))
        run.keep("growth", problem, optima, samples)
        for name, count in optima.counts.items():
            other = "" if optima.at_best(name) else ", to another optimum"
            table.append(ms(f"{size}, {run.called(name)}{other}: an iteration of {count}", samples[name], per=count))
    return table


PARTS: dict[str, Callable[[Run], list[Row]]] = {"reach": reach, "goals": many_goals, "growth": growth}


def main() -> int:
    """Run, print, write bench/results/ilqr.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=40, help="turns of the first reach; of all else fewer")
    python = ROOT / ".venv-crocoddyl/bin/python"
    parser.add_argument("--peer", type=Path, default=python, help="Python that has Crocoddyl")
    parser.add_argument("--no-peer", action="store_true", help="compare ours alone")
    arguments = parser.parse_args()
    if not arguments.no_peer and not arguments.peer.exists():
        print(f"{arguments.peer} does not exist; `make bench-ilqr` makes it, or name one by --peer", file=sys.stderr)
        return 2
    load = os.getloadavg()[0]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        peer = None if arguments.no_peer else stack.enter_context(Peer(arguments.peer))
        run = Run(peer, Path(directory), arguments.rounds)
        if peer is not None:
            run.title = f"{peer.who['name']} {peer.who['version']} FDDP"
        try:
            for part in arguments.parts:
                rows += PARTS[part](run)
        except Disagreement as error:
            print(f"nothing to compare: {error}", file=sys.stderr)
            return 1
    details = {
        "cost": COST,
        "same_cost": SAME,
        "rounds": arguments.rounds,
        "peer": {} if peer is None else peer.who,
        "load_average_before": load,
        "problems": run.details,
    }
    report("ilqr", rows, details)
    return 0


if __name__ == "__main__":
    sys.exit(main())
