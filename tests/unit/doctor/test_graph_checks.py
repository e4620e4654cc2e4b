"""What the doctor says of a graph, from what was seen of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mbpl_control.doctor.finding import Verdict, passes
from mbpl_control.doctor.graph import GraphFacts, ManagerFacts, Mismatch, NodeFacts, Stream
from mbpl_control.doctor.graph_checks import check_graph

LAW = "ilqr_controller/controller"
NODES = tuple(
    NodeFacts(f"/mbpl/{name}", task="arm_reach", lifecycle=state)
    for name, state in (
        ("mujoco_sim", None),
        ("state_estimator", None),
        ("controller_manager", None),
        ("ilqr_controller", "active"),
    )
)
MANAGER = ManagerFacts("active", "'hold' commands", 200.0, 0.002, ticks=1000, new_ticks=400, sources=(LAW,))
STREAMS = {
    "joint_states": Stream(("/mbpl/mujoco_sim",), 400, 200.0, 1.0, ("a", "b")),
    "state": Stream(("/mbpl/state_estimator",), 400, 200.0, 1.0),
    "joint_commands": Stream(("/mbpl/controller_manager",), 400, 200.0, 1.0),
    "status": Stream(("/mbpl/controller_manager",)),
    "/clock": Stream(("/mbpl/mujoco_sim",), 200, 100.0),
    LAW: Stream(("/mbpl/ilqr_controller",)),
}
HEALTHY = GraphFacts(
    "/mbpl",
    7,
    NODES,
    STREAMS,
    manager=MANAGER,
    model_joints=("a", "b"),
    description_fits=True,
    bags=("/bags", 5000.0),
)


def streams(**changed: Any) -> dict[str, Stream]:
    return {**STREAMS, **changed}


def nodes(name: str, **changed: Any) -> tuple[NodeFacts, ...]:
    return tuple(replace(n, **changed) if n.name.endswith(name) else n for n in NODES)


def manager(**changed: Any) -> dict[str, Any]:
    return {"manager": replace(MANAGER, **changed)}


def test_a_healthy_graph_passes_every_check_without_a_remedy() -> None:
    found = check_graph(HEALTHY)
    assert {f.verdict for f in found} == {Verdict.OK}
    assert not any(f.remedy for f in found)


#: What is changed in a healthy graph; check and verdict; what it says, and what to do.
FAULTS = {
    "a dead node": (
        {"nodes": nodes("state_estimator", answers=False, use_sim_time=None)},
        ("nodes", "fail", "/mbpl/state_estimator does not answer", "start it again"),
    ),
    "a node twice": ({"nodes": nodes("mujoco_sim", copies=2)}, ("nodes", "fail", "2 nodes are named", "end all but")),
    "a planner that sleeps": (
        {"nodes": nodes("ilqr_controller", lifecycle="inactive")},
        ("nodes", "warn", "/mbpl/ilqr_controller is inactive", "ros2 lifecycle set /mbpl/ilqr_controller activate"),
    ),
    "no manager": ({"manager": None}, ("nodes", "fail", "no status on /mbpl/status", "ros2 launch")),
    "two tasks": (
        {"nodes": nodes("mujoco_sim", task="arm_peg")},
        ("task", "fail", "'arm_peg': /mbpl/mujoco_sim", "the same `task`"),
    ),
    "another clock": (
        {"nodes": nodes("state_estimator", use_sim_time=True)},
        ("clock", "fail", "use_sim_time is true for /mbpl/state_estimator alone", "use_sim_time false"),
    ),
    "no clock": (
        {"nodes": tuple(replace(n, use_sim_time=True) for n in NODES), "streams": streams(**{"/clock": Stream()})},
        ("clock", "fail", "nobody publishes it: time stands still", "start or unpause"),
    ),
    "a pause": (
        {"streams": streams(joint_states=replace(STREAMS["joint_states"], progress=0.0))},
        ("clock", "warn", "do not advance", "mujoco_sim/pause"),
    ),
    "quality of service of laws": (
        {"mismatches": (Mismatch(f"/mbpl/{LAW}", "/x", "/mbpl/controller_manager", "liveliness"),)},
        ("quality of service", "fail", "/x does not reach /mbpl/controller_manager: liveliness", "lease of 1 s"),
    ),
    "two publishers": (
        {"streams": streams(**{LAW: Stream(("/mbpl/ilqr_controller", "/mbpl/other"))})},
        ("publishers", "fail", f"{LAW} has 2: /mbpl/ilqr_controller, /mbpl/other", "end all but one"),
    ),
    "no robot": ({"streams": streams(joint_states=Stream())}, ("publishers", "fail", "joint_states", "mujoco_sim")),
    "a slow robot": (
        {"streams": streams(joint_states=replace(STREAMS["joint_states"], rate=99.0))},
        ("rates", "fail", "comes at 99 Hz; expected are 200", "parameter `rate`"),
    ),
    "a robot that is a little slow": (
        {"streams": streams(joint_states=replace(STREAMS["joint_states"], rate=179.0))},
        ("rates", "warn", "comes at 179 Hz", "too busy"),
    ),
    "a robot that is too fast": (
        {"streams": streams(state=replace(STREAMS["state"], rate=1000.0))},
        ("rates", "warn", "state comes at 1000 Hz", "manager's parameter `rate`"),
    ),
    "missed deadlines": (manager(new_misses=5), ("deadlines", "warn", "5 of the last 400", "free a processor")),
    "another robot": (
        {"model_joints": ("a", "c")},
        ("model", "fail", "joint_states has a, b; the task's robot has a, c: c is missing", "joint names of the model"),
    ),
    "another model": ({"description_fits": False}, ("model", "fail", "masses, limits or joints", "same files")),
    "emergency stop": (
        manager(mode="emergency_stop", reason="operator"),
        ("mode", "fail", "latched: operator", "mbpl estop --reset"),
    ),
    "fallback": (manager(mode="fallback"), ("mode", "warn", "fallback", "mbpl switch")),
    "an old state": (manager(state_age=0.2), ("states", "fail", "0.20 s old; at most 0.1 s", "silent")),
    "no state ever": (manager(state_age=-1.0), ("states", "fail", "never", "robot")),
    "refusals": (
        manager(newly_refused={"laws refused for their gains": 3}, last_refusal="ilqr: gain 2e6"),
        ("refusals", "fail", "3 laws refused for their gains; the last: ilqr: gain 2e6", "sender"),
    ),
    "a complaint": (
        {"complaints": (("/mbpl/bag_recorder: bags", "error", "disk full"),)},
        ("diagnostics", "fail", "disk full", "log"),
    ),
    "a full disk": ({"bags": ("/bags", 20.0)}, ("bags", "fail", "20 MiB are free in /bags", "make room")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_with_what_to_do(name: str) -> None:
    changed, (check, verdict, words, remedy) = FAULTS[name]
    found = [f for f in check_graph(replace(HEALTHY, **changed)) if f.verdict is not Verdict.OK]
    assert any(f.check == check and f.verdict == verdict and words in f.found and remedy in f.remedy for f in found)


def test_a_simulation_in_lockstep_has_no_rate_to_keep() -> None:
    slow = streams(joint_states=replace(STREAMS["joint_states"], rate=3.0, progress=0.0))
    assert passes(check_graph(replace(HEALTHY, streams=slow, lockstep=True)))


def test_where_there_is_no_graph_that_alone_is_said_and_where_there_is_one() -> None:
    (alone,) = check_graph(GraphFacts("/mbpl", 7))
    assert "no node below /mbpl in domain 7" in alone.found and "ros2 launch" in alone.remedy
    (elsewhere,) = check_graph(GraphFacts("/mbpl", 7, elsewhere=(("42", "/lab"),)))
    assert "/lab in domain 42" in elsewhere.found
    assert "export ROS_DOMAIN_ID=42" in elsewhere.remedy and "--namespace /lab" in elsewhere.remedy
