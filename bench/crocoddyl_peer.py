"""The peer of `bench/ilqr.py`, in an environment of its own: Crocoddyl's FDDP on the same problem.

Reads one JSON request a line from standard input and answers each with one JSON line, so that the two solvers can take
turns within one run. A request names the file of its problem, which is read when it is first named.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import crocoddyl
import numpy as np
import pinocchio


class Peer:
    """A problem that `bench/ilqr.py` writes down, built from Crocoddyl's own parts."""

    def __init__(self, p: dict[str, Any]) -> None:
        """Build the shooting problem and the solver."""
        model = pinocchio.buildModelFromUrdf(p["urdf"])
        state = crocoddyl.StateMultibody(model)
        actuation = crocoddyl.ActuationModelFull(state)
        dt, m = p["dt"], state.nv
        rest = np.array(p["start"])
        frame = model.getFrameId(p["frame"])

        def sum_of(scale: float, position: float, velocity: float, action: float | None) -> Any:
            costs = crocoddyl.CostModelSum(state, m)
            reach = crocoddyl.ResidualModelFrameTranslation(state, frame, np.array(p["target"]), m)
            costs.addCost("frame", crocoddyl.CostModelResidual(state, reach), position / scale)
            weights = np.concatenate([np.zeros(state.nv), np.ones(state.nv)])
            speed = crocoddyl.ActivationModelWeightedQuad(weights)
            still = crocoddyl.ResidualModelState(state, rest, m)
            costs.addCost("velocity", crocoddyl.CostModelResidual(state, speed, still), velocity / scale)
            if action is not None:
                effort = crocoddyl.ResidualModelControl(state, np.array(p["gravity"]))
                costs.addCost("action", crocoddyl.CostModelResidual(state, effort), action / scale)
            return costs

        def step(costs: Any, seconds: float) -> Any:
            dynamics = crocoddyl.DifferentialActionModelFreeFwdDynamics(state, actuation, costs)
            return crocoddyl.IntegratedActionModelEuler(dynamics, seconds)

        # Crocoddyl multiplies running costs by dt, and the final one, whose step is zero, by nothing
        running = step(sum_of(dt, p["position"], p["velocity"], p["action"]), dt)
        final = step(sum_of(1.0, p["final_position"], p["final_velocity"], None), 0.0)
        self.steps = p["steps"]
        problem = crocoddyl.ShootingProblem(rest, [running] * self.steps, final)
        problem.nthreads = 1
        self.problem = problem
        self.states = [rest] * (self.steps + 1)
        self.actions = [np.array(p["gravity"])] * self.steps
        self.solver = crocoddyl.SolverFDDP(problem)
        self.solver.th_stop = 1e-16

    def trace(self, iterations: int) -> dict[str, Any]:
        """Cost of the first guess, costs after each iteration, and the trajectory."""
        log = crocoddyl.CallbackLogger()
        self.solver.setCallbacks([log])
        self.solver.solve(self.states, self.actions, iterations, False)
        self.solver.setCallbacks([])
        return {
            "first_cost": float(self.problem.calc(self.states, self.actions)),
            "costs": [float(c) for c in log.costs],
            "states": np.array(self.solver.xs).tolist(),
            "actions": np.array(self.solver.us).tolist(),
        }

    def solve(self, iterations: int) -> dict[str, Any]:
        """One timed solve of at most so many iterations."""
        begin = time.perf_counter()
        self.solver.solve(self.states, self.actions, iterations, False)
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "iterations": int(self.solver.iter), "cost": float(self.solver.cost)}

    def phases(self) -> dict[str, float]:
        """Seconds of one call of each phase, at the trajectory of the last solve."""
        xs, us = self.solver.xs, self.solver.us
        begin = time.perf_counter()
        self.problem.calc(xs, us)
        calc = time.perf_counter()
        self.problem.calcDiff(xs, us)
        derivatives = time.perf_counter()
        self.solver.backwardPass()
        backward = time.perf_counter()
        self.solver.forwardPass(1.0)
        forward = time.perf_counter()
        return {
            "calc": calc - begin,
            "derivatives": derivatives - calc,
            "backward": backward - derivatives,
            "forward": forward - backward,
        }


def main() -> None:
    """Answer requests until standard input ends."""
    peers: dict[str, Peer] = {}
    print(json.dumps({"name": "Crocoddyl", "version": crocoddyl.__version__, "pinocchio": pinocchio.__version__}))
    sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        file = request["problem"]
        if file not in peers:
            with open(file, encoding="utf-8") as stream:
                peers[file] = Peer(json.load(stream))
        answer = getattr(peers[file], request["do"])(*request.get("with", []))
        print(json.dumps(answer))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
