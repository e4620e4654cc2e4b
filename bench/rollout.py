"""Rollouts a second by a robot's generated kernels against `mujoco.rollout` on the same robot, without contact.

Batches of trajectories of 100 steps, each of actions of its own from a start of its own, one physics step a step.
Kernels and `mujoco.rollout` have one thread each; `mujoco.rollout` with a thread for every processor is measured
besides. All take turns in one run. Before anything is timed, both must lead to the same states.
"""

from __future__ import annotations

import os

# before numpy: a library that has started its threads does not let go of them
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))

import argparse  # noqa: E402
import gc  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import mujoco  # noqa: E402
import numpy as np  # noqa: E402
from mujoco.rollout import Rollout  # noqa: E402
from report import Row, report  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402

from mbpl_control.core.validation import Array  # noqa: E402
from mbpl_control.models.generated_dynamics import GeneratedDynamics  # noqa: E402
from mbpl_control.models.resources import resolve  # noqa: E402
from mbpl_control.models.robot import RobotModel  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
ROBOTS = {
    "panda": "package://example-robot-data/robots/panda_description/urdf/panda.urdf",
    "arm7": str(ROOT / "sim/models/arm7.xml"),
    "reacher_2link": str(ROOT / "sim/models/reacher_2link.xml"),
}
BATCHES = (1, 16, 56, 256, 1024)
STEPS, DT = 100, 0.01
#: Largest difference of a state allowed, as a share of the largest state.
SAME = 1e-9
#: Trajectories that one measurement takes at least, so that the clock is fine enough.
LEAST = 64
KERNELS, ONE, ALL = "kernels", "mujoco.rollout, 1 thread", f"mujoco.rollout, {os.cpu_count()} threads"


class Simulator:
    """`mujoco.rollout` as quick as it can be asked: nothing is checked or allocated while it is timed.

    Args:
        robot: to simulate; limits of joints, which the kernels do not know, are left out.
        threads: how many.
    """

    def __init__(self, robot: RobotModel, threads: int) -> None:
        """Make model, data and pool."""
        self.model = robot.mujoco_model(DT)
        self.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_LIMIT)
        self._data = [mujoco.MjData(self.model) for _ in range(threads)]
        self._pool = Rollout(nthread=threads if threads > 1 else 0)
        self._gears = robot.gears
        self._size = mujoco.mj_stateSize(self.model, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))

    def prepare(self, starts: Array, plans: Array) -> Callable[[], Array]:
        """What follows the plans; it gives the states after each step (L, T, nx)."""
        count, steps, _ = plans.shape
        begin, out = np.zeros((count, self._size)), np.empty((count, steps, self._size))
        begin[:, 1 : 1 + starts.shape[1]] = starts
        controls, models = np.ascontiguousarray(plans / self._gears), [self.model] * count

        def run() -> Array:
            self._pool.rollout(models, self._data, begin, controls, skip_checks=True, nstep=steps, state=out)
            return out[:, :, 1 : 1 + starts.shape[1]]

        return run


def drawn(dynamics: GeneratedDynamics, count: int) -> tuple[Array, Array]:
    """Starts (L, nx) around the middle of the joints' ranges, and plans (L, T, m) that bear gravity, with noise.

    What falls would fall fast, and two trajectories that are the same to rounding would soon be two.
    """
    robot, rng = dynamics.robot, np.random.default_rng(0)
    limited = np.isfinite(robot.position_upper)
    lower, upper = (np.where(limited, bound, 0.0) for bound in (robot.position_lower, robot.position_upper))
    q = 0.5 * (lower + upper) + 0.1 * rng.normal(size=(count, robot.nv))
    starts = np.concatenate([q, 0.1 * rng.normal(size=q.shape)], axis=1)
    plans = 1e-3 * rng.uniform(robot.action.lower, robot.action.upper, (count, STEPS, robot.action.size))
    states = starts
    for t in range(STEPS):
        plans[:, t] += [robot.holding_action(x[: robot.nq]) for x in states]
        states = dynamics.step(states, plans[:, t])
    return starts, plans


def tell(what: str, done: int, total: int) -> None:
    """Say how far the compilation is."""
    print(f"kernels: {what} ({done} of {total})", file=sys.stderr)


def measure(robot: RobotModel, rounds: int) -> tuple[dict[tuple[int, str], list[float]], float]:
    """Rollouts a second of each side at each batch, by round, and by how much the states differ.

    Raises:
        ValueError: the two sides do not agree.
    """
    dynamics = GeneratedDynamics(robot, DT, tell=tell)
    simulators = {ONE: Simulator(robot, 1), ALL: Simulator(robot, os.cpu_count() or 1)}
    sides: dict[tuple[int, str], Callable[[], Array]] = {}
    difference = 0.0
    all_starts, all_plans = drawn(dynamics, max(BATCHES))
    for batch in BATCHES:
        starts, plans = all_starts[:batch], all_plans[:batch]

        def ours(starts: Array = starts, plans: Array = plans) -> Array:
            return dynamics.rollouts(starts, plans)[:, 1:]

        sides[batch, KERNELS] = ours
        sides |= {(batch, name): each.prepare(starts, plans) for name, each in simulators.items()}
        expected = ours()
        for name in simulators:
            off = np.abs(sides[batch, name]() - expected).max() / np.abs(expected).max()
            # a number that is not finite stays
            difference = float(np.maximum(difference, off))
    if not difference <= SAME:
        raise ValueError(f"{robot.name}: states differ by {difference:.3g} of the largest; at most {SAME:g} is allowed")
    samples: dict[tuple[int, str], list[float]] = {key: [] for key in sides}
    gc.collect()
    gc.disable()
    for round_ in track(range(-1, rounds), robot.name, console=Console(stderr=True), transient=True):
        for (batch, name), run in sides.items():
            calls = -(-LEAST // batch)
            begin = time.perf_counter()
            for _ in range(calls):
                run()
            seconds = time.perf_counter() - begin
            if round_ >= 0:
                samples[batch, name].append(calls * batch / seconds)
    gc.enable()
    return samples, difference


def rows(name: str, samples: dict[tuple[int, str], list[float]], difference: float) -> list[Row]:
    """The table of one robot."""
    table = [Row(f"{name}: largest difference of a state", difference, "1", target=SAME)]
    for batch in BATCHES:
        at = f"{name}, {batch} at once"
        for side in (KERNELS, ONE, ALL):
            table.append(Row.of_samples(f"{at}: {side}", samples[batch, side], "1/s"))
        ratio = np.array(samples[batch, KERNELS]) / np.array(samples[batch, ONE])
        table.append(Row.of_samples(f"{at}: kernels over {ONE}", ratio.tolist(), "1"))
    return table


def main() -> int:
    """Run, print, write bench/results/rollout.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="turns that are measured")
    parser.add_argument("--robots", nargs="+", default=list(ROBOTS), choices=list(ROBOTS), help="which robots")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    table: list[Row] = []
    for name in arguments.robots:
        robot = RobotModel.from_file(resolve(ROBOTS[name]))
        try:
            table += rows(name, *measure(robot, arguments.rounds))
        except ValueError as error:
            print(f"nothing to compare: {error}", file=sys.stderr)
            return 1
    details = {
        "steps": STEPS,
        "dt": DT,
        "rounds": arguments.rounds,
        "mujoco": mujoco.__version__,
        "load_average_before": load,
    }
    report("rollout", table, details)
    return 0


if __name__ == "__main__":
    sys.exit(main())
