"""iLQR against Crocoddyl's FDDP: Panda reach, the same model, cost and first guess, one thread each, taking turns.

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
#: Both must reach the optimum within this, relative; it is also what "the same cost" means.
SAME = 1e-6


class Disagreement(Exception):
    """The two sides do not solve the same problem, so there is nothing to compare."""


class Ours:
    """The problem in mbpl's own parts.

    Args:
        problem: as `PROBLEM`, with "urdf", "start" and "gravity".
    """

    def __init__(self, problem: dict[str, Any], robot: RobotModel) -> None:
        """Build dynamics and cost."""
        n, m = robot.nv, robot.action.size
        unlimited = replace(robot.action, lower=np.full(m, -np.inf), upper=np.full(m, np.inf))
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


def agree(ours: Ours, peer: Peer) -> tuple[float, int, int]:
    """Check that both solve one problem; the optimum, and the iterations each takes to come within `SAME` of it.

    Raises:
        Disagreement: they do not.
    """

    def check(what: str, difference: float, limit: float) -> None:
        if not difference <= limit:
            raise Disagreement(f"{what} differs by {difference:.3g}; at most {limit:g} is allowed")

    theirs = peer.ask("trace", 200)
    result = ours.solver(200).solve(ours.start, ours.actions)
    first = float(ours.cost.evaluate(ours.dynamics.rollout(ours.start, ours.actions), ours.actions).sum())
    check("the cost of the first guess (relative)", abs(first / theirs["first_cost"] - 1.0), 1e-9)
    states, actions = np.array(theirs["states"]), np.array(theirs["actions"])
    check("a step of the model", float(np.abs(ours.dynamics.step(states[:-1], actions) - states[1:]).max()), 1e-9)
    last = theirs["costs"][-1]
    evaluated = float(ours.cost.evaluate(states, actions).sum())
    check("the cost of one trajectory (relative)", abs(evaluated / last - 1.0), 1e-9)
    check("the optimum (relative)", abs(result.cost / last - 1.0), SAME)
    best = min(result.cost, last)

    def needed(costs: list[float]) -> int:
        return 1 + int(np.argmax(np.array(costs) <= best * (1.0 + SAME)))

    return best, needed([i.cost for i in result.iterations]), needed(theirs["costs"])


def measure(ours: Ours, peer: Peer, counts: tuple[int, int], rounds: int) -> dict[str, list[float]]:
    """Seconds of each figure in each round, the two sides taking turns."""
    solver = ours.solver(counts[0])
    samples: dict[str, list[float]] = {}
    gc.collect()
    gc.disable()
    for round_ in track(range(-3, rounds), "solving in turns", console=Console(stderr=True), transient=True):
        begin = time.perf_counter()
        result = solver.solve(ours.start, ours.actions)
        mine = time.perf_counter() - begin
        theirs = peer.ask("solve", counts[1])
        figures = {"ours": mine, "theirs": theirs["seconds"], "ratio": mine / theirs["seconds"]}
        figures |= {f"ours {k}": v for k, v in ours.phases(result.states, result.actions, result.gains).items()}
        figures |= {f"theirs {k}": v for k, v in peer.ask("phases").items()}
        if round_ < 0:
            continue
        for name, value in figures.items():
            samples.setdefault(name, []).append(value)
    gc.enable()
    return samples


def rows(samples: dict[str, list[float]], counts: tuple[int, int], peer: str) -> list[Row]:
    """The table: times in ms, medians of all rounds."""

    def ms(name: str, *keys: str, per: int = 1) -> Row:
        total = sum(np.array(samples[key]) for key in keys)
        return Row.of_samples(name, (1e3 / per * np.asarray(total)).tolist(), "ms")

    return [
        Row.of_samples("ratio per solve", samples["ratio"], "1", target=1.0),
        ms("mbpl iLQR: time to the same cost", "ours"),
        ms(f"{peer}: time to the same cost", "theirs"),
        Row("mbpl iLQR: iterations to the same cost", counts[0], "1"),
        Row(f"{peer}: iterations to the same cost", counts[1], "1"),
        ms("mbpl iLQR: time per iteration", "ours", per=counts[0]),
        ms(f"{peer}: time per iteration", "theirs", per=counts[1]),
        ms("mbpl iLQR: derivatives of model and cost", "ours linearize", "ours quadratize"),
        ms(f"{peer}: derivatives of model and cost", "theirs derivatives"),
        ms("mbpl iLQR: backward pass", "ours backward"),
        ms(f"{peer}: backward pass", "theirs backward"),
        ms("mbpl iLQR: forward pass", "ours rollout", "ours evaluate"),
        ms(f"{peer}: forward pass", "theirs forward"),
        ms("mbpl iLQR: forward pass and derivatives at once", "ours rollout_linearized", "ours quadratize"),
    ]


def main() -> int:
    """Run, print, write bench/results/ilqr.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="turns that are measured")
    python = ROOT / ".venv-crocoddyl/bin/python"
    parser.add_argument("--peer", type=Path, default=python, help="Python that has Crocoddyl")
    arguments = parser.parse_args()
    if not arguments.peer.exists():
        print(f"{arguments.peer} does not exist; `make bench-ilqr` makes it, or name one by --peer", file=sys.stderr)
        return 2
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        problem, robot = prepare(Path(directory))
        ours = Ours(problem, robot)
        with Peer(arguments.peer, Path(directory) / "problem.json") as peer:
            try:
                best, *needed = agree(ours, peer)
            except Disagreement as error:
                print(f"nothing to compare: {error}", file=sys.stderr)
                return 1
            counts = (needed[0], needed[1])
            name = f"{peer.who['name']} {peer.who['version']} FDDP"
            samples = measure(ours, peer, counts, arguments.rounds)
    details = {
        "problem": PROBLEM,
        "optimum": best,
        "same_cost": SAME,
        "rounds": arguments.rounds,
        "peer": peer.who,
        "load_average_before": load,
    }
    report("ilqr", rows(samples, counts, name), details)
    return 0


if __name__ == "__main__":
    sys.exit(main())
