"""What is wrong with a running graph."""

from __future__ import annotations

from collections.abc import Iterator

from mbpl_control.doctor.finding import Finding, fail, ok, warn
from mbpl_control.doctor.graph import GraphFacts, Stream

#: A rate below these shares of the one expected is slow, and too slow.
SLOW, TOO_SLOW = 0.9, 0.5
#: Topics that one node alone may publish.
ALONE = ("joint_states", "state", "joint_commands", "status", "/clock")
START = "`ros2 launch mbpl_bringup mbpl.launch.py`"


def check_graph(facts: GraphFacts) -> list[Finding]:
    """All checks of a graph; where there is none, that alone."""
    if not facts.nodes:
        return list(_nobody(facts))
    return [
        finding
        for check in (_nodes, _tasks, _clock, _quality, _publishers, _rates, _joints, _manager, _refusals, _others)
        for finding in check(facts)
    ]


def _nobody(facts: GraphFacts) -> Iterator[Finding]:
    found = f"no node below {facts.namespace} in domain {facts.domain}"
    if facts.elsewhere:
        places = [f"{namespace} in domain {domain}" for domain, namespace in facts.elsewhere]
        found += f"; on this machine there is {', '.join(places)}"
        domain, namespace = facts.elsewhere[0]
        yield fail("graph", found, f"`export ROS_DOMAIN_ID={domain}`, and use `--namespace {namespace}`")
        return
    remedy = f"start one: {START}; if it runs on another machine, compare ROS_DOMAIN_ID and discovery range there"
    yield fail("graph", found, remedy)


def _nodes(facts: GraphFacts) -> Iterator[Finding]:
    sound = True
    for node in facts.nodes:
        if node.copies > 1:
            sound = False
            yield fail("nodes", f"{node.copies} nodes are named {node.name}", "end all but one of them")
        if not node.answers:
            sound = False
            yield fail(
                "nodes",
                f"{node.name} does not answer",
                "its process hangs, is stopped or was killed: end it and start it again; its log may say why",
            )
        if node.lifecycle not in (None, "active"):
            sound = False
            verb = "configure" if node.lifecycle == "unconfigured" else "activate"
            yield warn("nodes", f"{node.name} is {node.lifecycle}", f"`ros2 lifecycle set {node.name} {verb}`")
    if facts.manager is None:
        sound = False
        remedy = f"start it: {START}; if it is there, see its log"
        yield fail("nodes", f"no status on {facts.namespace}/status: no controller manager works here", remedy)
    if sound:
        yield ok("nodes", f"{len(facts.nodes)} nodes answer in domain {facts.domain}; lifecycle nodes are active")


def _tasks(facts: GraphFacts) -> Iterator[Finding]:
    by_task: dict[str, list[str]] = {}
    for node in facts.nodes:
        if node.task is not None:
            by_task.setdefault(node.task, []).append(node.name)
    if len(by_task) > 1:
        found = "; ".join(f"'{task}': {', '.join(names)}" for task, names in by_task.items())
        yield fail("task", f"nodes run different tasks: {found}", "start all of them with the same `task`")
    elif by_task:
        yield ok("task", next(iter(by_task)))


def _clock(facts: GraphFacts) -> Iterator[Finding]:
    simulated = [n.name for n in facts.nodes if n.use_sim_time]
    other = [n.name for n in facts.nodes if n.use_sim_time is False]
    clock = facts.streams.get("/clock", Stream())
    if simulated and other:
        few, value = (simulated, "true") if len(simulated) <= len(other) else (other, "false")
        yield fail(
            "clock",
            f"use_sim_time is {value} for {', '.join(few)} alone: its clock is not that of the others",
            f"start it with use_sim_time {'false' if value == 'true' else 'true'}, as the others have it",
        )
    if simulated and not clock.messages:
        who = (
            f"{', '.join(clock.publishers)} publishes it, but nothing comes"
            if clock.publishers
            else "nobody publishes it"
        )
        yield fail(
            "clock",
            f"{', '.join(simulated)} live{'s'[: len(simulated) == 1]} on /clock, and {who}: time stands still there",
            "start or unpause the simulation, or start the node with use_sim_time false",
        )
    elif not (simulated and other):
        rate = f"; /clock at {clock.rate:.0f} Hz" if clock.messages else ""
        yield ok("clock", f"{'simulated' if simulated else 'wall'} time for all nodes{rate}")
    joints = facts.streams.get("joint_states", Stream())
    if joints.messages > 1 and joints.progress == 0.0 and not facts.lockstep:
        yield warn(
            "clock",
            "the stamps of joint_states do not advance: the simulation is paused, or the robot's clock hangs",
            f"`ros2 service call {facts.namespace}/mujoco_sim/pause std_srvs/srv/SetBool '{{data: false}}'`",
        )


def _quality(facts: GraphFacts) -> Iterator[Finding]:
    for m in facts.mismatches:
        remedy = f"give {m.publisher} and {m.subscriber} profiles that fit, as docs/nodes lists them"
        if m.topic.removeprefix(f"{facts.namespace}/") in _sources(facts):
            remedy = (
                f"have {m.publisher} offer what laws need, `LAWS` of nodes/qos.py: reliable, transient local, "
                "automatic liveliness with a lease of 1 s at most"
            )
        yield fail("quality of service", f"{m.topic}: {m.publisher} does not reach {m.subscriber}: {m.reason}", remedy)
    if not facts.mismatches:
        yield ok("quality of service", "every publisher reaches every subscriber of its topic")


def _sources(facts: GraphFacts) -> tuple[str, ...]:
    return () if facts.manager is None else facts.manager.sources


def _publishers(facts: GraphFacts) -> Iterator[Finding]:
    sound = True
    for topic in (*ALONE, *_sources(facts)):
        publishers = facts.streams.get(topic, Stream()).publishers
        if len(publishers) > 1:
            sound = False
            yield fail(
                "publishers", f"{topic} has {len(publishers)}: {', '.join(publishers)}", "end all but one of them"
            )
    manager = facts.manager
    needed = {
        "joint_states": "mujoco_sim, or the bridge to the robot",
        **({} if manager is None or manager.direct else {"state": "state_estimator"}),
    }
    for topic, who in needed.items():
        if not facts.streams.get(topic, Stream()).publishers:
            sound = False
            yield fail("publishers", f"nobody publishes {topic}", f"start {who}")
    if sound:
        yield ok("publishers", "one each for states, commands, status and laws")


def _rates(facts: GraphFacts) -> Iterator[Finding]:
    manager = facts.manager
    if manager is None:
        return
    sound = []
    for topic in ("joint_states",) if manager.direct else ("joint_states", "state"):
        stream = facts.streams.get(topic, Stream())
        if not stream.publishers:
            continue
        who = ", ".join(stream.publishers)
        found = f"{topic} comes at {stream.rate:.0f} Hz; expected are {manager.rate:.0f}"
        if not stream.messages:
            yield fail(
                "rates", f"nothing comes on {topic}, which {who} publishes", f"see the log of {who}; start it again"
            )
        elif facts.lockstep:
            sound.append(f"{topic} {stream.rate:.0f} Hz")
        elif stream.rate < SLOW * manager.rate:
            remedy = (
                f"give the parameter `rate` of the robot ({who}) and of the manager the same value; if they have it, "
                "the machine is too slow or too busy: lower both"
            )
            yield (fail if stream.rate < TOO_SLOW * manager.rate else warn)("rates", found, remedy)
        elif stream.rate > manager.rate / TOO_SLOW:
            yield warn("rates", found, "set the manager's parameter `rate` to that of the robot")
        else:
            sound.append(f"{topic} {stream.rate:.0f} Hz")
    if sound:
        yield ok(
            "rates", f"{', '.join(sound)}; expected {'as fast as it goes' if facts.lockstep else f'{manager.rate:.0f}'}"
        )
    if manager.new_ticks and manager.new_misses > 0.01 * manager.new_ticks:
        yield warn(
            "deadlines",
            f"{manager.new_misses} of the last {manager.new_ticks} ticks came more than a period late",
            "free a processor, or lower `rate`",
        )
    elif manager.ticks:
        yield ok("deadlines", f"{manager.deadline_misses} of {manager.ticks} ticks were missed so far")


def _joints(facts: GraphFacts) -> Iterator[Finding]:
    stream = facts.streams.get("joint_states", Stream())
    if facts.model_joints is None:
        if facts.model_trouble:
            yield warn("model", facts.model_trouble, "run the doctor where the task's files are")
        return
    missing = [name for name in facts.model_joints if name not in stream.joints]
    if stream.joints and missing:
        yield fail(
            "model",
            f"joint_states has {', '.join(stream.joints)}; the task's robot has {', '.join(facts.model_joints)}: "
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            "start the nodes with the task of this robot, or have its driver use the joint names of the model",
        )
    elif stream.joints:
        yield ok("model", f"joint_states has the {len(facts.model_joints)} joints of the task's robot")
    if facts.description_fits is False:
        yield fail(
            "model",
            "robot_description is not the robot file of the manager's task: masses, limits or joints may differ",
            "start robot and manager with the same `task`, from the same files",
        )


def _manager(facts: GraphFacts) -> Iterator[Finding]:
    manager = facts.manager
    if manager is None:
        return
    text = f"{manager.mode}: {manager.reason}"
    if manager.mode == "emergency_stop":
        yield fail(
            "mode",
            f"emergency stop is latched: {manager.reason}",
            "when it is safe: `mbpl estop --reset`, then a switch",
        )
    elif manager.mode == "zero":
        yield fail("mode", text, "have states come again, then `mbpl switch`")
    elif manager.mode == "fallback":
        yield warn("mode", text, "see what the reason names, then `mbpl switch`")
    else:
        yield ok("mode", text)
    if manager.state_age > manager.state_timeout:
        yield fail(
            "states",
            f"the manager's newest state is {manager.state_age:.2f} s old; at most {manager.state_timeout:g} s is "
            "allowed",
            "see robot and state_estimator: one of them is silent, or its states are refused",
        )
    elif manager.state_age < 0.0:
        yield fail("states", "the manager has never taken a state", "see robot and state_estimator, and the refusals")
    else:
        yield ok("states", f"the newest is {1e3 * manager.state_age:.0f} ms old")


def _refusals(facts: GraphFacts) -> Iterator[Finding]:
    manager = facts.manager
    if manager is None:
        return
    new = {kind: count for kind, count in manager.newly_refused.items() if count}
    if new:
        found = ", ".join(f"{count} {kind}" for kind, count in new.items())
        yield fail(
            "refusals",
            f"going on: {found}; the last: {manager.last_refusal}",
            "mend what the reason names at its sender",
        )
    else:
        old = [f"{count} {kind}" for kind, count in manager.refused.items() if count]
        yield ok("refusals", f"none now; so far {', '.join(old) or 'none'}")


def _others(facts: GraphFacts) -> Iterator[Finding]:
    for name, level, message in facts.complaints:
        yield (warn if level == "warn" else fail)("diagnostics", f"{name}: {message}", "see the log of the node")
    if facts.bags is not None:
        directory, free = facts.bags
        found = f"{free:.0f} MiB are free in {directory}"
        if free < 100.0:
            yield fail("bags", found, "make room, or give the recorder another `directory`")
        elif free < 1024.0:
            yield warn("bags", found, "make room: a trial takes a few MiB")
        else:
            yield ok("bags", found)
