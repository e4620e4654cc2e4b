"""MPC at the rate of the robot: `panda_reach`, 50 steps ahead, planned again 500 times a second over DDS.

Simulation, state estimator, controller manager and planner, a process each, in real time. The target goes round a
circle and the arm is pushed; beside it one plan to where the target was at the beginning, followed by its feedback.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import rclpy
from domain_coordinator import domain_id
from geometry_msgs.msg import PointStamped
from loop import Processes, node_program
from mbpl_msgs.msg import RobotState
from mbpl_msgs.srv import LoadController
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from report import Row, report

from mbpl_control.models.codegen import library
from mbpl_control.models.generated_dynamics import tree_of
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import SENSOR
from mbpl_control.tasks import Task, load_task
from mbpl_control.tasks.catalog import find_task

TASK, FRAME = "panda_reach", "panda_hand_tcp"
HORIZON = 50
#: The target's circle, m and s, and how often it is told, Hz.
RADIUS, PERIOD, TELL = 0.08, 5.0, 50.0
#: Of the state: the newest is enough.
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
#: Pushes: N at the wrist, for so many s, one each so many s.
FORCE, LASTS, EVERY = (0.0, 25.0, 0.0), 0.1, 2.5
#: s at the beginning that do not count: the way to the circle.
APPROACH = 3.0


def main() -> None:
    """Measure, print, write bench/results/mpc.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plans", type=float, nargs="+", default=[500.0, 100.0, 20.0], help="a second")
    parser.add_argument("--rate", type=float, default=500.0, help="Hz of the robot")
    parser.add_argument("--seconds", type=float, default=20.0, help="that count, of each side")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    # whoever ends this ends the nodes it started, too
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    rows: list[Row] = []
    with domain_id() as domain, tempfile.TemporaryDirectory() as scratch:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        for plans in options.plans:
            task = write_task(plans, Path(scratch))
            library.build(tree_of(task.robot), lambda what, done, total: print(f"kernels: {what}", file=sys.stderr))
            taken, far = [], {"once": [], "mpc": []}
            for turn in range(options.turns):
                for side in far:
                    print(f"{plans:g} plans a second, {side}, turn {turn + 1} of {options.turns}", file=sys.stderr)
                    file = Path(scratch) / f"{side}-{plans:g}-{turn}.npy"
                    far[side].append(run(task, Path(scratch) / "task.yaml", options.rate, side, options.seconds, file))
                    if side == "mpc":
                        taken.append(np.load(file)[-int(plans * options.seconds) :])
            rows += figures(plans, taken, far, options.seconds)
    report("mpc", rows, {"task": TASK, "horizon": HORIZON, "seconds": options.seconds, "turns": options.turns})


def write_task(rate: float, directory: Path) -> Task:
    """The task that ships, planned so often and so far ahead, one iteration a plan."""
    text, found = re.subn(
        r"^planner:.*$",
        f"planner: {{mpc: {{horizon: {HORIZON}, rate: {rate}, iterations: 1}}}}",
        find_task(TASK).read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    if found != 1:
        raise RuntimeError(f"{TASK} has {found} lines 'planner:'; the bench replaces one")
    path = directory / "task.yaml"
    path.write_text(text, encoding="utf-8")
    return load_task(path)


def run(task: Task, path: Path, rate: float, side: str, seconds: float, file: Path) -> np.ndarray:
    """Distances (N,) m of the tool from the target as it moves, as often as the target is told."""
    shared = ["--ros-args", "-r", "__ns:=/mbpl", "--log-level", "warn"]
    ours = [*shared, "-p", f"task:={path}"]
    mode = "mpc" if side == "mpc" else "plan"
    with Processes() as processes:
        processes.start(node_program("mbpl_control", "controller_manager"), *ours, "-p", f"rate:={rate}")
        processes.start(node_program("mbpl_control", "state_estimator"), *ours)
        processes.start(node_program("mbpl_sim", "mujoco_sim"), *ours, "-p", f"rate:={rate}")
        planner = [*ours, "-r", "__node:=mpc_controller", "-p", f"mode:={mode}", "-p", "autostart:=true"]
        processes.start(
            node_program("mbpl_control", "ilqr_controller"),
            *planner,
            *(["-p", f"timing_file:={file}"] if side == "mpc" else []),
        )
        with GraphClient(timeout=60.0) as client:
            return follow(client, task, seconds)


def follow(client: GraphClient, task: Task, seconds: float) -> np.ndarray:
    """Set the goal, move the target, push, and watch."""
    node = client.node
    client.wait_for_services(["controller_manager/switch_controller", "mujoco_sim/reset", "mpc_controller/plan"], 60.0)
    source = "mpc_controller/controller"
    client.load(LoadController.Request(name="measured", type="linear_gaussian", mode="mean", source=source))
    client.reset_sim(0)
    client.wait_status(lambda s: 0.0 <= s.state_age < 0.05)
    client.plan("mpc_controller", 0)
    client.wait_status(lambda s: any(c.name == "measured" and c.law_sequence for c in s.controllers))
    client.activate("measured")
    heard: list[tuple[float, bytes]] = []
    # nobody spins this node: the newest state is taken as often as the target is told, which costs the graph nothing
    watcher = rclpy.create_node("watcher", namespace=node.get_namespace(), context=node.context)
    subscription = watcher.create_subscription(RobotState, "state", lambda _: None, NEWEST, raw=True)
    publisher = node.create_publisher(PointStamped, "mpc_controller/target", SENSOR)
    centre = task.condition(0).target
    assert centre is not None  # noqa: S101 - the task has one
    begin = time.monotonic()

    def target(when: float) -> np.ndarray:
        angle = 2.0 * np.pi * (when - begin) / PERIOD
        return centre + RADIUS * np.array([0.0, np.sin(angle), np.cos(angle) - 1.0])

    pushed = threading.Thread(target=push, args=(client, seconds))
    pushed.start()
    due = begin
    while time.monotonic() < begin + APPROACH + seconds:
        message = PointStamped()
        message.point.x, message.point.y, message.point.z = target(time.monotonic()).tolist()
        publisher.publish(message)
        with subscription.handle:
            taken = subscription.handle.take_message(RobotState, True)
        if taken is not None:
            heard.append((time.monotonic(), taken[0]))
        due += 1.0 / TELL
        time.sleep(max(0.0, due - time.monotonic()))
    pushed.join()
    watcher.destroy_node()
    counted = [(when, deserialize_message(data, RobotState)) for when, data in heard if when > begin + APPROACH]
    tool = task.robot.kinematics.positions(FRAME, np.array([message.position for _, message in counted]))
    return np.linalg.norm(tool - np.array([target(when) for when, _ in counted]), axis=1)


def push(client: GraphClient, seconds: float) -> None:
    """Push the wrist each `EVERY` s, from the end of the approach on."""
    begin = time.monotonic() + APPROACH
    for k in range(int(seconds / EVERY)):
        time.sleep(max(0.0, begin + (k + 0.5) * EVERY - time.monotonic()))
        client.disturb("panda_link7", FORCE, 0.0, LASTS)


def figures(wanted: float, taken: list[np.ndarray], far: dict[str, list[np.ndarray]], seconds: float) -> list[Row]:
    """Rows of so many plans a second; spreads are those of the turns."""
    period, rows = 1.0 / wanted, []
    for column, what in ((0, "a plan takes"), (1, "from a state to the law planned from it")):
        for name, q in (("p50", 50.0), ("p99", 99.0), ("max", 100.0)):
            each = [1e3 * float(np.percentile(turn[:, column], q)) for turn in taken]
            target = 1e3 * period if column == 0 and q == 99.0 else None
            rows.append(
                Row(
                    f"{wanted:g} plans a second: {what}, {name}",
                    float(np.median(each)),
                    "ms",
                    target,
                    spread=_range(each),
                )
            )
    plans = [len(turn) / seconds for turn in taken]
    rows.append(
        Row(
            f"{wanted:g} plans a second: that came",
            float(np.median(plans)),
            "Hz",
            0.99 * wanted,
            "higher",
            _range(plans),
        )
    )
    missed = [100.0 * float(np.mean(turn[:, 0] > period)) for turn in taken]
    rows.append(
        Row(
            f"{wanted:g} plans a second: plans longer than a period",
            float(np.median(missed)),
            "%",
            spread=_range(missed),
        )
    )
    late = [100.0 * float(np.mean(turn[:, 1] > turn[:, 2])) for turn in taken]
    rows.append(
        Row(f"{wanted:g} plans a second: laws later than compensated", float(np.median(late)), "%", spread=_range(late))
    )
    for side, what in (("mpc", "planned again and again"), ("once", "planned once")):
        each = [1e3 * float(np.sqrt(np.mean(turn**2))) for turn in far[side]]
        rows.append(
            Row(
                f"{wanted:g} plans a second: distance from the target, {what}",
                float(np.median(each)),
                "mm",
                spread=_range(each),
            )
        )
    return rows


def _range(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


if __name__ == "__main__":
    main()
