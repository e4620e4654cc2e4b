"""iLQR against Crocoddyl's FDDP: Panda reach, the same model, cost and first guess, one thread each, taking turns.

Ours is measured twice, by the robot's generated kernels and by Pinocchio's bindings; with --no-peer these two alone.

Both solve from the same first guess until the cost is within 1e-6 of the optimum. The number of iterations that takes
is found first; then solves of exactly that many iterations are timed in turns, so that whatever else the machine does
meets both alike. Before anything is timed, the two must agree on the cost of the first guess, on every step of the
model along Crocoddyl's solution, on its cost, and on the optimum.
"""

from __future__ import annotations

import os

# before numpy: a library that has started its threads does not let go of them
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))

import argparse  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import re  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import ExitStack  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402
from types import TracebackType  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from report import Row, report  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402

from mbpl_control.costs.frames import FramePositionCost  # noqa: E402
from mbpl_control.costs.points import JointColumns, KinematicPoints  # noqa: E402
from mbpl_control.costs.quadratic import ActionCost, StateCost  # noqa: E402
from mbpl_control.costs.sum_cost import SumCost  # noqa: E402
from mbpl_control.models.dynamics import Dynamics  # noqa: E402
from mbpl_control.models.generated_dynamics import GeneratedDynamics  # noqa: E402
from mbpl_control.models.pinocchio_dynamics import PinocchioDynamics  # noqa: E402
from mbpl_control.models.resources import resolve  # noqa: E402
from mbpl_control.models.robot import RobotModel  # noqa: E402
from mbpl_control.trajopt import ILQR, ILQROptions  # noqa: E402
from mbpl_control.trajopt.riccati import backward_pass  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
URDF = "package://example-robot-data/robots/panda_description/urdf/panda.urdf"
POSTURE = [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785, 0.02, 0.02]
#: The cost, every weight as it counts per step; the peer builds the same from these numbers.
PROBLEM: dict[str, Any] = {
    "steps": 100,
    "dt": 0.01,
    "frame": "panda_hand_tcp",
    "target": [0.5, 0.3, 0.4],
    "position": 1.0,
    "velocity": 0.01,
    "action": 1e-4,
    "final_position": 1000.0,
    "final_velocity": 1.0,
}
#: What our own sides are called.
GENERATED, BINDINGS = "mbpl iLQR", "mbpl iLQR by the bindings"
#: Both must reach the optimum within this, relative; it is also what "the same cost" means.
SAME = 1e-6


class Disagreement(Exception):
    """The two sides do not solve the same problem, so there is nothing to compare."""


class Ours:
    """The problem in mbpl's own parts.

    Args:
        problem: as `PROBLEM`, with "urdf", "start" and "gravity".
        robot: of the problem.
        generated: whether by generated kernels, which are compiled if they are not yet, or by the bindings.
    """

    def __init__(self, problem: dict[str, Any], robot: RobotModel, generated: bool) -> None:
        """Build dynamics and cost."""
        n, m = robot.nv, robot.action.size
        unlimited = replace(robot.action, lower=np.full(m, -np.inf), upper=np.full(m, np.inf))
        self.dynamics: Dynamics
        if generated:
            self.dynamics = GeneratedDynamics(robot, problem["dt"], 1, unlimited, tell=tell)
        else:
            self.dynamics = PinocchioDynamics(robot, problem["dt"], 1, unlimited)
        self.start = np.array(problem["start"])
        self.actions = np.tile(problem["gravity"], (problem["steps"], 1))

        def reach(weight: float, ramp: str) -> FramePositionCost:
            frame = KinematicPoints(robot.kinematics, [problem["frame"]], JointColumns.leading(n, n, 2 * n))
            return FramePositionCost(frame, np.full(3, weight), np.array(problem["target"]), ramp)

        def still(weight: float, ramp: str) -> StateCost:
            weights = np.concatenate([np.zeros(n), np.full(n, weight)])
            return StateCost(robot.state.space, weights, self.start, ramp)

        terms = [
            reach(problem["position"], "constant"),
            still(problem["velocity"], "constant"),
            ActionCost(np.full(m, problem["action"]), np.array(problem["gravity"])),
            # what is constant counts at the end, too
            reach(problem["final_position"] - problem["position"], "final"),
            still(problem["final_velocity"] - problem["velocity"], "final"),
        ]
        self.cost = SumCost(terms, 2 * n, m)

    def solver(self, iterations: int) -> ILQR:
        """A solver that stops after so many iterations, and hardly before."""
        options = ILQROptions(max_iterations=iterations, cost_tolerance=1e-15, gradient_tolerance=1e-12)
        return ILQR(self.dynamics, self.cost, options)

    def phases(self, states: np.ndarray, actions: np.ndarray, gains: np.ndarray) -> dict[str, float]:
        """Seconds of one call of each phase at a trajectory."""
        seconds: dict[str, float] = {}

        def timed(name: str, call: Callable[[], Any]) -> Any:
            begin = time.perf_counter()
            result = call()
            seconds[name] = time.perf_counter() - begin
            return result

        dynamics, cost = self.dynamics, self.cost
        low, high = dynamics.action.lower, dynamics.action.upper
        still = np.zeros_like(actions)
        hessian = "gauss_newton"
        a, b = timed("linearize", lambda: dynamics.linearize(states[:-1], actions))
        q = timed("quadratize", lambda: cost.quadratize(states, actions, hessian))
        none, wide = np.zeros((len(actions), a.shape[1])), np.full_like(actions, np.inf)
        arrays = (a, b, none, q.lx, q.lu, q.lxx, q.lux, q.luu, -wide, wide)
        timed("backward", lambda: backward_pass(*arrays, 0.0))
        arguments = (states, actions, still, gains)
        rolled = timed("rollout", lambda: dynamics.rollout_feedback(*arguments, np.ones(1), low, high))
        timed("evaluate", lambda: cost.evaluate(*rolled))
        timed("rollout_linearized", lambda: dynamics.rollout_linearized(*arguments, low, high))
        return seconds


class Peer:
    """Crocoddyl in a process and an environment of its own; it waits while we measure ourselves."""

    def __init__(self, python: Path, problem: Path) -> None:
        """Start it, and read who it is."""
        keep = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")}
        script = Path(__file__).with_name("crocoddyl_peer.py")
        self._process = subprocess.Popen(
            [str(python), str(script), str(problem)],
            env=keep,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.who = self._read()

    def ask(self, what: str, *arguments: Any) -> Any:
        """Have the peer do something; its answer."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe, see above
        self._process.stdin.write(json.dumps({"do": what, "with": list(arguments)}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101 - a pipe, see above
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the Crocoddyl process ended with code {self._process.wait()}; see its message above")
        return json.loads(line)

    def __enter__(self) -> Peer:
        """The running peer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self._process.communicate(timeout=30.0)


def prepare(directory: Path) -> tuple[dict[str, Any], RobotModel]:
    """Write the robot's file and the problem's; return the problem and the robot.

    Joint damping is taken out of the URDF: Crocoddyl's free forward dynamics has none.
    """
    urdf = directory / "panda.urdf"
    urdf.write_text(re.sub(r"<dynamics[^>]*/>", "", resolve(URDF).read_text(encoding="utf-8")), encoding="utf-8")
    robot = RobotModel.from_file(urdf)
    start = POSTURE + [0.0] * robot.nv
    problem = {**PROBLEM, "urdf": str(urdf), "start": start, "gravity": robot.gravity(np.array(POSTURE)).tolist()}
    (directory / "problem.json").write_text(json.dumps(problem), encoding="utf-8")
    return problem, robot


def tell(what: str, done: int, total: int) -> None:
    """Say how far the compilation is."""
    print(f"kernels: {what} ({done} of {total})", file=sys.stderr)


def check(what: str, difference: float, limit: float) -> None:
    """Raise `Disagreement` unless a difference is within its limit."""
    if not difference <= limit:
        raise Disagreement(f"{what} differs by {difference:.3g}; at most {limit:g} is allowed")


def agree(sides: dict[str, Ours], peer: Peer | None) -> tuple[float, dict[str, int], int]:
    """Check that all solve one problem; the optimum, and the iterations each takes to come within `SAME` of it.

    Raises:
        Disagreement: they do not.
    """
    bindings = sides[BINDINGS]
    results = {name: side.solver(200).solve(side.start, side.actions) for name, side in sides.items()}
    best = min(result.cost for result in results.values())
    states, actions = results[BINDINGS].states, results[BINDINGS].actions
    theirs: dict[str, Any] = {"costs": []}
    if peer is not None:
        theirs = peer.ask("trace", 200)
        first = float(
            bindings.cost.evaluate(bindings.dynamics.rollout(bindings.start, bindings.actions), bindings.actions).sum()
        )
        check("the cost of the first guess (relative)", abs(first / theirs["first_cost"] - 1.0), 1e-9)
        states, actions = np.array(theirs["states"]), np.array(theirs["actions"])
        last = theirs["costs"][-1]
        evaluated = float(bindings.cost.evaluate(states, actions).sum())
        check("the cost of one trajectory (relative)", abs(evaluated / last - 1.0), 1e-9)
        best = min(best, last)
        check("the peer's optimum (relative)", abs(last / best - 1.0), SAME)
    for name, side in sides.items():
        check(f"a step of {name}", float(np.abs(side.dynamics.step(states[:-1], actions) - states[1:]).max()), 1e-9)
        check(f"the optimum of {name} (relative)", abs(results[name].cost / best - 1.0), SAME)

    def needed(costs: list[float]) -> int:
        return 1 + int(np.argmax(np.array(costs) <= best * (1.0 + SAME)))

    counts = {name: needed([i.cost for i in result.iterations]) for name, result in results.items()}
    return best, counts, needed(theirs["costs"]) if peer else 0


def measure(
    sides: dict[str, Ours], peer: Peer | None, counts: dict[str, int], theirs: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each figure in each round, all sides taking turns."""
    solvers = {name: side.solver(counts[name]) for name, side in sides.items()}
    samples: dict[str, list[float]] = {}
    gc.collect()
    gc.disable()
    for round_ in track(range(-3, rounds), "solving in turns", console=Console(stderr=True), transient=True):
        figures: dict[str, float] = {}
        for name, side in sides.items():
            begin = time.perf_counter()
            result = solvers[name].solve(side.start, side.actions)
            figures[f"{name} solve"] = time.perf_counter() - begin
            phases = side.phases(result.states, result.actions, result.gains)
            figures |= {f"{name} {phase}": seconds for phase, seconds in phases.items()}
        figures["generated over bindings"] = figures[f"{GENERATED} solve"] / figures[f"{BINDINGS} solve"]
        if peer is not None:
            figures["theirs"] = peer.ask("solve", theirs)["seconds"]
            figures |= {f"ratio {name}": figures[f"{name} solve"] / figures["theirs"] for name in sides}
            figures |= {f"theirs {k}": v for k, v in peer.ask("phases").items()}
        if round_ < 0:
            continue
        for figure, value in figures.items():
            samples.setdefault(figure, []).append(value)
    gc.enable()
    return samples


def rows(samples: dict[str, list[float]], counts: dict[str, int], theirs: int, peer: str) -> list[Row]:
    """The table: times in ms, medians of all rounds; without rows of the peer where its name is empty."""

    def ms(name: str, *keys: str, per: int = 1) -> Row:
        total = sum(np.array(samples[key]) for key in keys)
        return Row.of_samples(name, (1e3 / per * np.asarray(total)).tolist(), "ms")

    steps = PROBLEM["steps"]
    table = [Row.of_samples("generated kernels over bindings, per solve", samples["generated over bindings"], "1")]
    if peer:
        table.insert(0, Row.of_samples("ratio per solve", samples[f"ratio {GENERATED}"], "1", target=0.2))
        table.append(Row.of_samples("ratio per solve by the bindings", samples[f"ratio {BINDINGS}"], "1"))
        table += [
            ms(f"{peer}: time to the same cost", "theirs"),
            Row(f"{peer}: iterations to the same cost", theirs, "1"),
        ]
        table.append(ms(f"{peer}: time per iteration", "theirs", per=theirs))
        for phase in ("derivatives", "backward", "forward"):
            table.append(ms(f"{peer}: {phase}", f"theirs {phase}"))
    derivatives = 1e6 / steps * np.array(samples[f"{GENERATED} linearize"])
    table.append(
        Row.of_samples(f"{GENERATED}: derivatives of the model, a knot", derivatives.tolist(), "us", target=2.0)
    )
    for name, count in counts.items():
        table += [
            ms(f"{name}: time to the same cost", f"{name} solve"),
            Row(f"{name}: iterations to the same cost", count, "1"),
            ms(f"{name}: time per iteration", f"{name} solve", per=count),
            ms(f"{name}: derivatives of model and cost", f"{name} linearize", f"{name} quadratize"),
            ms(f"{name}: derivatives of the model", f"{name} linearize"),
            ms(f"{name}: backward pass", f"{name} backward"),
            ms(f"{name}: forward pass", f"{name} rollout", f"{name} evaluate"),
            ms(f"{name}: forward pass and derivatives at once", f"{name} rollout_linearized", f"{name} quadratize"),
        ]
    return table


def main() -> int:
    """Run, print, write bench/results/ilqr.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="turns that are measured")
    python = ROOT / ".venv-crocoddyl/bin/python"
    parser.add_argument("--peer", type=Path, default=python, help="Python that has Crocoddyl")
    parser.add_argument("--no-peer", action="store_true", help="compare generated kernels and bindings alone")
    arguments = parser.parse_args()
    if not arguments.no_peer and not arguments.peer.exists():
        print(f"{arguments.peer} does not exist; `make bench-ilqr` makes it, or name one by --peer", file=sys.stderr)
        return 2
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        problem, robot = prepare(Path(directory))
        sides = {GENERATED: Ours(problem, robot, True), BINDINGS: Ours(problem, robot, False)}
        peer = None
        if not arguments.no_peer:
            peer = stack.enter_context(Peer(arguments.peer, Path(directory) / "problem.json"))
        try:
            best, counts, theirs = agree(sides, peer)
        except Disagreement as error:
            print(f"nothing to compare: {error}", file=sys.stderr)
            return 1
        who = {} if peer is None else peer.who
        name = f"{who['name']} {who['version']} FDDP" if who else ""
        samples = measure(sides, peer, counts, theirs, arguments.rounds)
    details = {
        "problem": PROBLEM,
        "optimum": best,
        "same_cost": SAME,
        "rounds": arguments.rounds,
        "peer": who,
        "load_average_before": load,
    }
    report("ilqr", rows(samples, counts, theirs, name), details)
    return 0


if __name__ == "__main__":
    sys.exit(main())
