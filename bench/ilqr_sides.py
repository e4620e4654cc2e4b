"""The sides of `bench/ilqr.py`: ours in its forms, Crocoddyl's in a process of its own, and what they must agree on."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from ilqr_problems import Problem

from mbpl_control.core.validation import Array
from mbpl_control.costs.frames import FramePositionCost
from mbpl_control.costs.points import JointColumns, KinematicPoints
from mbpl_control.costs.quadratic import ActionCost, StateCost
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.models.generated_dynamics import GeneratedDynamics
from mbpl_control.models.pinocchio_dynamics import PinocchioDynamics
from mbpl_control.trajopt import ILQR, ILQROptions, ILQRResult
from mbpl_control.trajopt.riccati import backward_pass

#: What the sides are called; the peer's rows say which version it is.
FORWARD, INVERSE, BINDINGS, PEER = "forward dynamics", "inverse dynamics", "the bindings", "Crocoddyl"
#: Two costs are the same within this, relative, and a side is at the optimum there.
SAME = 1e-6
#: A guess that holds the arm still in theory drifts by what kernels round (`generated_dynamics.RIGHT_ANGLE`); its cost
#: may differ by so much, relative.
DRIFT = 1e-8
#: Iterations within which every side should have come to its optimum.
MANY = 200


class Disagreement(Exception):
    """The sides do not solve the same problem, so there is nothing to compare."""


class Ours:
    """A problem in mbpl's own parts.

    Args:
        problem: what is solved.
        name: `FORWARD` and `INVERSE` for the two forms on generated kernels, which are compiled if they are not yet;
            `BINDINGS` for Pinocchio's bindings, which have the forward form alone.
    """

    def __init__(self, problem: Problem, name: str) -> None:
        """Build dynamics and cost."""
        robot, content = problem.robot, problem.content
        n, m = robot.nv, robot.action.size
        unlimited = replace(robot.action, lower=np.full(m, -np.inf), upper=np.full(m, np.inf))
        self.dynamics: Dynamics
        if name == BINDINGS:
            self.dynamics = PinocchioDynamics(robot, content["dt"], 1, unlimited)
        else:
            self.dynamics = GeneratedDynamics(robot, content["dt"], 1, unlimited, tell=tell)
        self.form = "inverse" if name == INVERSE else "forward"
        self.start = np.array(content["start"])
        self.actions = np.tile(content["gravity"], (content["steps"], 1))

        def reach(weight: float, ramp: str) -> FramePositionCost:
            frame = KinematicPoints(robot.kinematics, [content["frame"]], JointColumns.leading(n, n, 2 * n))
            return FramePositionCost(frame, np.full(3, weight), np.array(content["target"]), ramp)

        def still(weight: float, ramp: str) -> StateCost:
            weights = np.concatenate([np.zeros(n), np.full(n, weight)])
            return StateCost(robot.state.space, weights, self.start, ramp)

        terms = [
            reach(content["position"], "constant"),
            still(content["velocity"], "constant"),
            ActionCost(np.full(m, content["action"]), np.array(content["gravity"])),
            # what is constant counts at the end, too
            reach(content["final_position"] - content["position"], "final"),
            still(content["final_velocity"] - content["velocity"], "final"),
        ]
        self.cost = SumCost(terms, 2 * n, m)

    def solver(self, iterations: int) -> Callable[[], ILQRResult]:
        """A solve of so many iterations, and hardly fewer."""
        options = ILQROptions(iterations, cost_tolerance=1e-15, gradient_tolerance=1e-12, form=self.form)
        return partial(ILQR(self.dynamics, self.cost, options).solve, self.start, self.actions)

    def phases(self, states: Array, actions: Array) -> dict[str, float]:
        """Seconds of one call of each phase at a trajectory, with no step along the law."""
        seconds: dict[str, float] = {}

        def timed(name: str, call: Callable[[], Any]) -> Any:
            begin = time.perf_counter()
            result = call()
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
            return result

        dynamics, cost = self.dynamics, self.cost
        low, high = dynamics.action.lower, dynamics.action.upper
        still = np.zeros_like(actions)
        q = timed("quadratize", lambda: cost.quadratize(states, actions, "gauss_newton"))
        if self.form == "inverse":
            inverse = dynamics.inverse
            assert inverse is not None  # noqa: S101 - the solver has refused it before
            accelerations = inverse.accelerations(states)
            jacobians = timed("linearize", lambda: inverse.along(states, accelerations))[1]

            def back() -> Any:
                diagonal = np.ascontiguousarray(np.einsum("tii->ti", q.luu))
                slopes = inverse.slopes(jacobians, q.lx, q.lu)
                return inverse.backward(0.0, jacobians, slopes, slopes, q.lxx, diagonal)

            gains, _, curvature, _ = timed("backward", back)
            timed("law", lambda: inverse.action_law(jacobians, gains, curvature))
            timed("rollout", lambda: inverse.lead(states, accelerations, still, gains, 1.0))
            return seconds
        a, b = timed("linearize", lambda: dynamics.linearize(states[:-1], actions))
        none, wide = np.zeros((len(actions), a.shape[1])), np.full_like(actions, np.inf)
        arrays = (a, b, none, q.lx, q.lu, q.lxx, q.lux, q.luu, -wide, wide)
        law = timed("backward", lambda: backward_pass(*arrays, 0.0, dynamics.leap))
        arguments = (states, actions, still, law.gains)
        rolled = timed("rollout", lambda: dynamics.rollout_feedback(*arguments, np.ones(1), low, high))
        timed("evaluate", lambda: cost.evaluate(*rolled))
        timed("rollout_linearized", lambda: dynamics.rollout_linearized(*arguments, low, high))
        return seconds


class Peer:
    """Crocoddyl in a process and an environment of its own; it waits while we measure ourselves."""

    def __init__(self, python: Path) -> None:
        """Start it, and read who it is."""
        keep = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")}
        script = Path(__file__).with_name("crocoddyl_peer.py")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([str(python), str(script)], env=keep, stdin=pipe, stdout=pipe, text=True)
        self.who = self._read()

    def ask(self, problem: Problem, what: str, *arguments: Any) -> Any:
        """Have the peer do something about a problem; its answer."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe, see above
        request = {"problem": str(problem.file), "do": what, "with": list(arguments)}
        self._process.stdin.write(json.dumps(request) + "\n")
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


def tell(what: str, done: int, total: int) -> None:
    """Say how far the compilation is."""
    if done < total:
        print(f"kernels: {what} ({done} of {total})", file=sys.stderr)


@dataclass(frozen=True)
class Optima:
    """Where each side ended, and how soon.

    Attributes:
        costs: of each side after `MANY` iterations, or when it ended by itself.
        best: least cost of the optimum the first side came to.
        counts: iterations each side needs to come within `SAME` of `best`; of its own optimum where that is another.
    """

    costs: dict[str, float]
    best: float
    counts: dict[str, int]

    def at_best(self, name: str) -> bool:
        """Whether a side came to the optimum of the first one."""
        return self.costs[name] <= self.best * (1.0 + SAME) and not self.lower(name)

    def lower(self, name: str) -> bool:
        """Whether a side came to an optimum that is better than that of the first one."""
        return self.costs[name] < self.best


def settle(traces: dict[str, list[float]]) -> Optima:
    """Compare the costs after each iteration of all sides with where the first one ended.

    Raises:
        Disagreement: a side came to no cost at all.
    """
    for name, trace in traces.items():
        if not (trace and np.isfinite(trace[-1])):
            raise Disagreement(f"{name} found no finite cost in {MANY} iterations")
    costs = {name: trace[-1] for name, trace in traces.items()}
    first = next(iter(costs.values()))
    best = min(cost for cost in costs.values() if abs(cost / first - 1.0) <= SAME)

    def needed(name: str) -> int:
        goal = best if best <= costs[name] <= best * (1.0 + SAME) else costs[name]
        return 1 + int(np.argmax(np.array(traces[name]) <= goal * (1.0 + SAME)))

    return Optima(costs, best, {name: needed(name) for name in traces})


def check(what: str, difference: float, limit: float) -> None:
    """Raise `Disagreement` unless a difference is within its limit."""
    if not difference <= limit:
        raise Disagreement(f"{what} differs by {difference:.3g}; at most {limit:g} is allowed")


def agree(problem: Problem, sides: dict[str, Ours], peer: Peer | None) -> Optima:
    """Check that all solve one problem: first cost, every step along the peer's solution, its cost. The optima.

    Raises:
        Disagreement: they do not.
    """
    results = {name: side.solver(MANY)() for name, side in sides.items()}
    traces: dict[str, list[float]] = {}
    last = next(iter(results.values()))
    states, actions = last.states, last.actions
    if peer is not None:
        theirs = peer.ask(problem, "trace", MANY)
        traces[PEER] = theirs["costs"]
        states, actions = np.array(theirs["states"]), np.array(theirs["actions"])
    for name, side in sides.items():
        traces[name] = [each.cost for each in results[name].iterations]
        check(
            f"{problem.name}: a step by {name}",
            float(np.abs(side.dynamics.step(states[:-1], actions) - states[1:]).max()),
            1e-9,
        )
        if results[name].form != f"{side.form} dynamics":
            raise Disagreement(f"{problem.name}: the solve by {name} ended by {results[name].form}")
        if peer is not None:
            guess = side.dynamics.rollout(side.start, side.actions)
            first = float(side.cost.evaluate(guess, side.actions).sum())
            check(
                f"{problem.name}: the cost of the first guess by {name} (relative)",
                abs(first / theirs["first_cost"] - 1.0),
                DRIFT,
            )
            cost = float(side.cost.evaluate(states, actions).sum())
            check(
                f"{problem.name}: the cost of one trajectory by {name} (relative)",
                abs(cost / theirs["costs"][-1] - 1.0),
                1e-9,
            )
    return settle(traces)


def take_turns(
    problem: Problem, sides: dict[str, Ours], peer: Peer | None, optima: Optima, rounds: range, phases: bool = False
) -> dict[str, list[float]]:
    """Seconds of the counted iterations of each side in each round, all taking turns; rounds below 0 are not kept.

    Args:
        problem: what is solved.
        sides: ours.
        peer: asked in each round, too.
        optima: of this problem.
        rounds: those to make.
        phases: whether each phase is measured by itself as well, under "SIDE PHASE".

    Raises:
        Disagreement: a solve did not come where it had come when its iterations were counted.
    """
    solvers = {name: side.solver(optima.counts[name]) for name, side in sides.items()}
    samples: dict[str, list[float]] = {}
    gc.collect()
    gc.disable()
    for round_ in rounds:
        figures: dict[str, float] = {}
        costs: dict[str, float] = {}
        for name, side in sides.items():
            begin = time.perf_counter()
            result = solvers[name]()
            figures[name] = time.perf_counter() - begin
            costs[name] = result.cost
            if phases:
                parts = side.phases(result.states, result.actions)
                figures |= {f"{name} {phase}": seconds for phase, seconds in parts.items()}
        if peer is not None:
            answer = peer.ask(problem, "solve", optima.counts[PEER])
            figures[PEER], costs[PEER] = answer["seconds"], answer["cost"]
            if phases:
                figures |= {f"{PEER} {phase}": seconds for phase, seconds in peer.ask(problem, "phases").items()}
        for name, cost in costs.items():
            goal = optima.best if optima.at_best(name) else optima.costs[name]
            check(f"{problem.name}: a timed solve by {name} (relative to the optimum)", cost / goal - 1.0, 1.01 * SAME)
        if round_ >= 0:
            for figure, value in figures.items():
                samples.setdefault(figure, []).append(value)
    gc.enable()
    return samples
