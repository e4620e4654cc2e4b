"""Verdicts on bags: what of them learning may rest on. docs/bags.md lists the checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mbpl_control.bags.inspection import PERIODIC, SCHEMA, BagFigures, TopicFigures
from mbpl_control.bags.recorded import read_all
from mbpl_control.core.alignment import LONGEST_GAP
from mbpl_control.core.errors import BagError
from mbpl_control.doctor.finding import Finding, fail, ok, warn
from mbpl_control.tasks.task import Task

#: Topics no trial can be read without; the others are missed in bags of this project only.
NEEDED = ("state", "joint_commands")
#: Share of messages that may be missing, or ticks be missed, before more than a warning is due.
TOLERABLE = 0.01
#: Share of the configured rate that a topic must reach.
FAST_ENOUGH = 0.9


def check_bags(bags: Sequence[BagFigures], task: Task | None = None) -> dict[Path, list[Finding]]:
    """What is to be said of each bag, and of bags that tell the same trial twice."""
    found = {figures.path: list(check_bag(figures, task)) for figures in bags}
    first: dict[str, Path] = {}
    for figures in bags:
        if not figures.digest:
            continue
        other = first.setdefault(figures.digest, figures.path)
        if other != figures.path:
            said = f"the same commands at the same stamps as in {other}"
            found[figures.path].append(fail("duplicate", said, "learn from one of the two"))
    return found


def check_bag(figures: BagFigures, task: Task | None = None) -> Iterator[Finding]:
    """What is to be said of one bag."""
    if figures.error:
        yield fail("file", figures.error, "without its metadata.yaml it is read as far as it goes")
    elif not figures.complete:
        yield warn("file", "its recorder never closed it; read as far as it goes", "its trial is shorter than it was")
    if not figures.messages:
        yield fail("messages", "none", "record while the topics are published")
        return
    if not figures.error:
        size = f"{figures.messages} messages, {figures.duration:.2f} s, {figures.size / 2**20:.2f} MiB"
        yield ok("messages", size)
    yield from _topics(figures)
    for topic in figures.topics.values():
        yield from _contents(topic)
        if topic.name in PERIODIC and SCHEMA[topic.name] == topic.kind:
            yield from _course(topic, figures)
    yield from _joints(figures)
    yield _misses(figures)
    yield _trials(figures, task)


def _topics(figures: BagFigures) -> Iterator[Finding]:
    wrong = [t for t in figures.topics.values() if SCHEMA.get(t.name, t.kind) != t.kind]
    for topic in wrong:
        remedy = "record the topic of the graph; another of the same name is not read"
        yield fail("type", f"{topic.topic} is of {topic.kind}; must be {SCHEMA[topic.name]}", remedy)
    right = {t.name for t in figures.topics.values() if SCHEMA.get(t.name) == t.kind}
    missing = [name for name in SCHEMA if name not in right]
    for name in NEEDED:
        if name in missing:
            yield fail("topics", f"no {name} ({SCHEMA[name]})", "no trial can be read without it")
    lacking = [name for name in missing if name not in NEEDED]
    if lacking:
        remedy = "no laws: the actions alone can be learned from" if "applied_law" in lacking else "record them, too"
        yield warn("topics", "no " + ", ".join(lacking), remedy)
    elif not missing:
        yield ok("topics", "all that a trial's bag has")


def _contents(topic: TopicFigures) -> Iterator[Finding]:
    if topic.broken:
        yield fail("messages", f"{topic.topic}: {topic.broken}", "the definitions of its types must be those installed")
    if topic.not_finite:
        found = f"{topic.topic}: {topic.not_finite} of {topic.count} messages with a number that is not finite"
        yield fail("numbers", found, "find what made them; nothing is learned from such a trial")


def _course(topic: TopicFigures, figures: BagFigures) -> Iterator[Finding]:
    rate = f"{topic.topic}: {topic.count} messages at {topic.rate:.1f} Hz"
    if figures.rate and topic.count > 1 and topic.rate < FAST_ENOUGH * figures.rate:
        yield warn("rate", f"{rate}; the manager is configured for {figures.rate:g} Hz", "look for what slows it down")
    else:
        yield ok("rate", rate)
    if topic.resets:
        yield fail("clock", f"{topic.topic}: the clock was set back {topic.resets} times", "one bag for each run of it")
    if topic.reordered:
        found = f"{topic.topic}: {topic.reordered} messages stamped before one that came earlier"
        yield fail("order", found, "find who stamps them: two publishers, or a clock that is corrected")
    if topic.dropped:
        share = topic.dropped / (topic.count + topic.dropped)
        found = f"{topic.topic}: {topic.dropped} messages are missing by their numbers, {100 * share:.2g} %"
        make = fail if share > TOLERABLE else warn
        yield make("dropped", found, "record on a machine that keeps up, or over a better link")
    if topic.gaps:
        yield _gap(topic, figures)


def _gap(topic: TopicFigures, figures: BagFigures) -> Finding:
    inside = [g for g in topic.gaps if not figures.trials or any(b <= g[0] < e for _, b, e in figures.trials)]
    begin, length = (inside or topic.gaps)[0]
    where = "in a trial" if inside and figures.trials else "outside of its trials" if figures.trials else "in the bag"
    since = 1e-9 * (begin - (topic.first_ns or begin))
    found = f"{topic.topic}: {1e-9 * length:.3f} s without a message {where}, {since:.3f} s after the first"
    if inside and 1e-9 * length > LONGEST_GAP:
        return fail("gap", f"{found}; at most {LONGEST_GAP:g} s are bridged", "its trial cannot be used")
    return warn("gap", found, "states between are joined from their neighbours")


def _joints(figures: BagFigures) -> Iterator[Finding]:
    reference = figures.state_joints
    for topic in figures.topics.values():
        if topic.name not in PERIODIC or not topic.joints:
            continue
        if len(topic.joints) > 1 and topic.name != "joint_states":
            found = f"{topic.topic}: {len(topic.joints)} different lists of joints in one bag"
            yield fail("joints", found, "one robot a bag")
        odd = [n for names in topic.joints for n in names if reference and n not in reference]
        if odd and topic.name != "joint_states":
            found = f"{topic.topic}: {', '.join(dict.fromkeys(odd))}; the state is one of {', '.join(reference)}"
            yield fail("joints", found, "the bag of another robot, or of another model of it")
        lacking = [n for n in reference if topic.name == "joint_states" and all(n not in j for j in topic.joints)]
        if lacking:
            yield fail("joints", f"{topic.topic}: no {', '.join(lacking)}", "the bag of another robot")


def _misses(figures: BagFigures) -> Finding:
    ticks = max((t.count for t in figures.named("joint_commands")), default=0)
    found = f"{figures.misses} missed by the manager, {ticks} commands"
    if figures.misses == 0:
        return ok("deadlines", found)
    make = fail if figures.misses > TOLERABLE * ticks else warn
    return make("deadlines", found, "a machine or a kernel that keeps real time")


def _trials(figures: BagFigures, task: Task | None) -> Finding:
    count, steps, cut, who = 0, 0, "", ""
    try:
        for found in read_all([figures.path], task):
            count, steps, who = count + 1, steps + found.trial.steps, found.trial.controller
            if not cut and found.trial.stop_reason != "completed":
                cut = found.trial.stop_reason
    except BagError as error:
        return fail("trials", str(error), "see above; --task tells what the bag of another recorder does not")
    told = f"{count} of {steps} steps, by {who}" if count == 1 else f"{count} of {steps} steps altogether"
    if cut:
        return warn("trials", f"{told}; {cut}", "it has no cost, and is not like the others")
    return ok("trials", told)
