"""Every fault of the campaign, with the controllers and moments it is tried at."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
from judgement import BRAKE, WATCH, Expected
from mbpl_msgs.action import RunTrial
from mbpl_msgs.msg import LinearGaussianController
from scene import Case, Fault, Scene
from sources import BAD_LAWS

from mbpl_control.bags import read_episode
from mbpl_control.core import MbplError, RefusedError
from mbpl_control.nodes.qos import LAWS

TIMED = 20
SOURCES = ("fed", "fed_knots")
PLANS = ("ilqr_feedback", "ilqr_mpc")
MPC = "mpc_controller"

#: No state: the estimator or the robot is gone. Measured on the wall clock, as no stamp tells the time any more.
NO_STATE = Expected("fallback", ("state_timeout",), WATCH, "wall", "no state for", then=("zero",), still=False)
#: No measurement: the estimator bridges a gap by predictions before it falls silent.
NO_MEASUREMENT = replace(NO_STATE, after=("largest_gap", "state_timeout"))
#: No law of a stream.
NO_LAW = Expected("fallback", ("law_timeout",), reason=r"no law of '\w+' for|the law of '\w+' was made")
#: No command: the robot's own watchdog locks the joints.
NO_COMMAND = Expected(BRAKE, ("watchdog_timeout",), reason="brakes: locked", reporter="mujoco_sim")
#: Answers to one state for ever: they count for as long as the state is young, and then the watchdog waits.
OLD_ANSWERS = replace(NO_COMMAND, after=("watchdog_timeout",) * 2)
#: Rate-limited, not blended: nothing is to soften a stop.
STOPPED = Expected("emergency_stop", reason="a test", step=np.inf, latched=True, still=False)
BLOWS = {"kill -9": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP}


def process(
    name: str, blow: str, expected: Expected, after: Callable[[Scene], Any] = lambda scene: None, **more: Any
) -> Fault:
    """A node's process is killed or stopped; what was killed is started anew, what was stopped goes on."""
    killed = blow == "kill -9"

    def recover(scene: Scene) -> None:
        if killed:
            scene.graph.relaunch(name)
        else:
            scene.signal(name, signal.SIGCONT)
        after(scene)

    inject = lambda scene: scene.signal(name, BLOWS[blow])  # noqa: E731
    return Fault(f"{blow} of {name}", inject, expected, recover, target=name, **more)


def _planner_back(name: str) -> Callable[[Scene], None]:
    return lambda scene: scene.ask(lambda: scene.client.plan(name, 0, timeout=4.0))


def _manager_back(scene: Scene) -> None:
    scene.client.wait_status(lambda s: s.mode in ("idle", "fallback", "active"), 20.0)
    if not any(c.name == "fed" for c in scene.ask(scene.client.controllers)):
        scene.load()
    for name in PLANS:
        # a planner's newest law is kept for those who come later
        scene.client.wait_status(lambda s, name=name: scene._number(s, name) > 0, 20.0)


def _begin_trial(scene: Scene) -> None:
    goal = RunTrial.Goal(controller="ilqr_feedback", seed=3, record=False)
    begin = time.time_ns()
    scene.kept = scene.pool.submit(scene.client.run_trial, goal, 15.0)
    # the trial's own reset and activation
    scene.observer.wait(lambda r: any(c.at > begin and c.controller == "hold" for c in r.commands), what="the trial")
    since = time.time_ns()
    first = scene.observer.wait(scene._signed("ilqr_feedback", since), 30.0, "the trial's controller")
    scene._since = 1e-9 * first.stamp


def _horizon_ends(scene: Scene) -> list[str]:
    try:
        scene.client.wait_status(lambda s: "the horizon of 125 steps is over" in s.reason, 10.0)
    except MbplError as error:
        return [f"the plan did not end in its hold: {error}"]
    return []


def _trial_again(scene: Scene) -> None:
    try:
        scene.kept.result(20.0)
    except (MbplError, TimeoutError):
        pass
    scene.ask(lambda: scene.client.run_trial(RunTrial.Goal(controller="ilqr_feedback", seed=4), 20.0))


def _bag_kept(scene: Scene) -> list[str]:
    assert scene.bag is not None
    episode = read_episode(scene.bag)
    count = episode.counts.get("/mbpl/state", 0)
    return [] if count > 0 and len(episode.states) == count else [f"the bag {scene.bag} holds {count} states"]


def _record_again(scene: Scene) -> None:
    try:
        scene.client.stop_recording("{}")
    except MbplError:
        pass
    scene.record_bag()
    scene.ask(lambda: scene.client.stop_recording("{}"))


def _fill_disk(scene: Scene) -> None:
    """No file of the recorder may grow any more, as on a disk that is full."""
    process = scene.graph.process("bag_recorder")
    process.rlimit(psutil.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))


def _free_disk(scene: Scene) -> None:
    free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    scene.graph.process("bag_recorder").rlimit(psutil.RLIMIT_FSIZE, free)
    _record_again(scene)


def _disk_told(scene: Scene) -> list[str]:
    try:
        scene.client.stop_recording("{}")
    except RefusedError as error:
        return [] if "too large" in str(error) else [f"the recorder says: {error}"]
    return ["the recorder says nothing of a disk that is full"]


RECORDER_KILLED = {"prepare": Scene.record_bag, "check": _bag_kept}

PROCESSES = [
    Case(process(MPC, "SIGSTOP", NO_LAW), "ilqr_mpc", "motion", TIMED, True),
    Case(process(MPC, "SIGSTOP", NO_LAW), "ilqr_mpc", "blend", TIMED),
    *[
        # a plan that counts from its activation is complete
        Case(process("ilqr_controller", blow, Expected(), _planner_back("ilqr_controller")), "ilqr_feedback")
        for blow in BLOWS
    ],
    *[
        Case(
            process(node, blow, expected),
            controller,
            "motion",
            2,
            (node, blow, controller) in CORE,
        )
        for CORE in [{("state_estimator", "kill -9", "ilqr_feedback"), ("mujoco_sim", "SIGSTOP", "ilqr_mpc")}]
        for node, expected in (("mujoco_sim", NO_MEASUREMENT), ("state_estimator", NO_STATE))
        for blow in BLOWS
        for controller in (*PLANS, "hold")
        if not (controller == "hold" and node == "state_estimator")
    ],
    *[
        Case(process("controller_manager", blow, NO_COMMAND, _manager_back), controller, "motion", 1, core)
        for blow, controller, core in (
            ("kill -9", "ilqr_feedback", False),
            ("kill -9", "ilqr_mpc", False),
            ("SIGSTOP", "ilqr_feedback", True),
            ("SIGSTOP", "ilqr_mpc", False),
        )
    ],
    *[
        Case(
            process("trial_runner", blow, Expected(), _trial_again, prepare=_begin_trial, check=_horizon_ends),
            "ilqr_feedback",
        )
        for blow in BLOWS
    ],
    # a second of a bag may be lost with its recorder: it must be older for anything of it to be left
    Case(process("bag_recorder", "kill -9", Expected(), _record_again, **RECORDER_KILLED), "ilqr_feedback", "late"),
    Case(process("bag_recorder", "SIGSTOP", Expected(), _record_again, prepare=Scene.record_bag), "ilqr_feedback"),
    Case(
        Fault("disk full", _fill_disk, Expected(), _free_disk, prepare=Scene.record_bag, check=_disk_told, window=1.5),
        "ilqr_feedback",
    ),
    Case(process(MPC, "kill -9", NO_LAW, _planner_back(MPC)), "ilqr_mpc", "motion", TIMED, True),
]


def bad_law(kind: str, lasting: bool) -> Fault:
    """A law of the source is wrong, or all are from now on."""
    spoil, reason = BAD_LAWS[kind]

    def inject(scene: Scene) -> None:
        source = scene.sources[scene.controller]
        if lasting:
            source.spoil = spoil
        else:
            # a law that comes right after would replace it unread: only the newest is kept
            source.spoil = lambda message: None
            time.sleep(0.1)
            source.send(spoil(source.message()))
            time.sleep(0.15)
            source.spoil = None

    def recover(scene: Scene) -> None:
        scene.sources[scene.controller].spoil = None

    if lasting:
        return Fault(f"laws with {kind}", inject, replace(NO_LAW, reason=reason), recover)
    return Fault(f"one law with {kind}", inject, Expected(reason=reason), recover, window=0.3)


def _second_publisher(scene: Scene) -> None:
    source = scene.sources.get(scene.controller)
    if source is not None:
        scene.kept = source.open()
        return
    node = scene.observer.node
    scene.kept = node.create_publisher(LinearGaussianController, "mpc_controller/controller", LAWS)


def _silence(scene: Scene) -> None:
    scene.sources[scene.controller].spoil = lambda message: None


TWO_PUBLISHERS = Fault(
    "two publishers of one law",
    _second_publisher,
    # how soon two processes meet is the middleware's; the lease is the longest anybody is believed unheard
    Expected("fallback", (), 1.0, "wall", "2 publishers of"),
    lambda scene: scene.observer.node.destroy_publisher(scene.kept),
)
SILENT = Fault("no more laws", _silence, NO_LAW, lambda scene: setattr(scene.sources[scene.controller], "spoil", None))

LAW_FAULTS = [
    *[
        Case(bad_law(kind, lasting), controller, "motion", 1, (kind, controller, lasting) in CORE)
        for CORE in [{("a number that is not finite", "fed", True), ("a rewound sequence", "fed_knots", False)}]
        for kind in BAD_LAWS
        for controller in SOURCES
        for lasting in (False, True)
    ],
    *[Case(SILENT, controller, "motion", 5) for controller in SOURCES],
    *[Case(TWO_PUBLISHERS, controller, "motion", 3, controller == "ilqr_mpc") for controller in (*SOURCES, "ilqr_mpc")],
]


def _stop(scene: Scene) -> None:
    with scene.timed():
        scene.client.emergency_stop("a test")


def _stop_in_a_switch(scene: Scene) -> None:
    other = "ilqr_feedback" if scene.controller == "ilqr_mpc" else "ilqr_mpc"
    # the switch is asked for first, and its way is not the manager's either
    with scene.timed():
        scene.client.activate(other)
        scene.client.emergency_stop("a test")


def _reset(scene: Scene) -> None:
    scene.client.reset_emergency_stop()


def switch_to(other: str) -> Fault:
    """Another controller takes over."""

    def prepare(scene: Scene) -> None:
        if other in scene.sources:
            scene.sources[other].start()

    def inject(scene: Scene) -> None:
        with scene.timed():
            scene.client.activate(other)

    expected = Expected(other, then=("fallback",), still=False)
    return Fault(f"switch to {other}", inject, expected, prepare=prepare, window=0.2)


def _many_switches(scene: Scene) -> None:
    """1000 requests at random, one upon the other."""
    rng = random.Random(len(scene.graph.nodes))
    names = ("hold", "ilqr_open_loop", "ilqr_feedback", "ilqr_sampled", "ilqr_mpc", "fed")
    scene.sources["fed"].start()
    for _ in range(scene.switches):
        try:
            scene.client.activate(rng.choice(names), restart=rng.random() < 0.5)
        except RefusedError:
            continue


def _starve(scene: Scene) -> None:
    """Neighbours that take all the processor's time for three seconds."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (psutil.cpu_count() or 1))]
    try:
        time.sleep(3.0)
    finally:
        for neighbour in busy:
            neighbour.kill()
            neighbour.wait(10.0)


def _pause(scene: Scene) -> None:
    scene.client.pause_sim(True)
    time.sleep(1.0)
    scene.client.pause_sim(False)


SWITCHES = [
    *[
        Case(Fault(f"emergency stop{during}", inject, STOPPED, _reset), controller, moment, TIMED, core)
        for during, inject, controller, moment, core in (
            ("", _stop, "ilqr_feedback", "motion", True),
            ("", _stop, "ilqr_mpc", "motion", False),
            ("", _stop, "ilqr_mpc", "rest", False),
            (" in a switch", _stop_in_a_switch, "ilqr_feedback", "motion", False),
            (" in a switch", _stop_in_a_switch, "ilqr_mpc", "motion", True),
        )
    ],
    *[
        Case(switch_to(other), controller, "phases", 8)
        for controller, other in (
            ("ilqr_feedback", "ilqr_mpc"),
            ("ilqr_mpc", "ilqr_feedback"),
            ("ilqr_feedback", "hold"),
            ("ilqr_mpc", "hold"),
            ("ilqr_mpc", "fed"),
        )
    ],
    Case(Fault("1000 random switches", _many_switches, Expected(None)), "ilqr_feedback", "early", 1, True),
    *[Case(Fault("processor starved", _starve, Expected(None)), controller, "early", 2) for controller in PLANS],
    *[Case(Fault("clock paused for 1 s", _pause, Expected(None)), controller) for controller in PLANS],
]

SET_BACK = replace(NO_MEASUREMENT, reason="no state for|set back by")


def relayed(name: str, expected: Expected, window: float = 0.6, **values: Any) -> Fault:
    """The relay does something to the joint states from now on."""

    def recover(scene: Scene) -> None:
        scene.relay(fault="none", drop=0.0, delay=0, offset=0.0)

    def inject(scene: Scene) -> None:
        with scene.timed():
            scene.relay(**values)

    return Fault(f"joint states {name}", inject, expected, recover, window=window)


JUMPED = Expected("fallback", clock="wall", reason="of the robot's clock", still=False)
RELAYED = [
    Case(fault, controller, "motion", 1, core and controller == "ilqr_feedback")
    for fault, core in (
        (relayed("away", NO_MEASUREMENT, fault="silent"), False),
        (relayed("frozen: one message again and again", OLD_ANSWERS, fault="repeat"), True),
        (relayed("stuck at one value", Expected(None), fault="stuck"), False),
        (relayed("10 % lost", Expected(), drop=0.1), False),
        (relayed("50 % lost", Expected(), drop=0.5), False),
        (relayed("90 % lost", Expected(None), 1.5, drop=0.9), False),
        (relayed("30 ms late", Expected(None), 1.5, delay=6), False),
        (relayed("150 ms late", Expected(None), 1.5, delay=30), False),
        (relayed("twice", Expected(), fault="duplicate"), False),
        (relayed("out of order", Expected(), fault="swap"), False),
        (relayed("not finite", NO_MEASUREMENT, fault="nan"), True),
        (relayed("10 s ahead", JUMPED, offset=10.0), False),
        (relayed("1 s ahead", JUMPED, offset=1.0), True),
        (relayed("5 s back", SET_BACK, offset=-5.0), False),
    )
    for controller in PLANS
]

#: What costs no process comes first.
CASES = [*SWITCHES, *LAW_FAULTS, *PROCESSES]
