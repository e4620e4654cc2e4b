"""A snapshot of a running graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NodeFacts:
    """One node.

    Attributes:
        name: full.
        copies: nodes of that name.
        answers: whether it answered a request for its parameters.
        use_sim_time: the parameter; None when it did not answer.
        task: the parameter; None when it has none.
        lifecycle: its state; None for a node without a lifecycle.
    """

    name: str
    copies: int = 1
    answers: bool = True
    use_sim_time: bool | None = False
    task: str | None = None
    lifecycle: str | None = None


@dataclass(frozen=True)
class Mismatch:
    """A publisher and a subscriber of one topic that are not connected.

    Attributes:
        topic: full name.
        publisher: node.
        subscriber: node.
        reason: which policies do not fit, in the middleware's words.
    """

    topic: str
    publisher: str
    subscriber: str
    reason: str


@dataclass(frozen=True)
class Stream:
    """What came on a topic while it was listened to.

    Attributes:
        publishers: full names of the nodes that publish it.
        messages: how many came.
        rate: Hz.
        progress: s that the stamps advanced in a second of wall time; None when they were not read.
        joints: names in the newest message; empty when it has none.
    """

    publishers: tuple[str, ...] = ()
    messages: int = 0
    rate: float = 0.0
    progress: float | None = None
    joints: tuple[str, ...] = ()


@dataclass(frozen=True)
class ManagerFacts:
    """What the controller manager says of itself.

    Attributes:
        mode, reason, rate, state_age, ticks, deadline_misses, last_refusal: as in its status.
        new_ticks, new_misses: while it was listened to.
        state_timeout: s, its parameter.
        direct: whether it lives on joint_states, without an estimator.
        sources: topics its controllers' laws come from.
        refused: laws and states refused so far, by kind, as on /diagnostics.
        newly_refused: likewise, while it was listened to.
    """

    mode: str
    reason: str
    rate: float
    state_age: float
    ticks: int = 0
    deadline_misses: int = 0
    last_refusal: str = ""
    new_ticks: int = 0
    new_misses: int = 0
    state_timeout: float = 0.1
    direct: bool = False
    sources: tuple[str, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)
    newly_refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class GraphFacts:
    """All that was seen of a graph.

    Attributes:
        namespace: whose nodes are meant.
        domain: ROS domain that was looked at.
        nodes: below the namespace, but for the one that looks.
        streams: by topic relative to the namespace, "/clock" among them.
        mismatches: of quality of service.
        manager: None when no status came.
        lockstep: whether a simulation waits for commands.
        model_joints: of the manager's task; None when it cannot be loaded here.
        model_trouble: why it cannot.
        description_fits: whether the robot describes itself as the task's robot; None when either is unknown.
        complaints: what nodes say on /diagnostics that is not OK: (name, level, message).
        bags: directory of the recorder and MiB free there; None without a recorder.
        elsewhere: controller managers among the processes of this machine in other domains: (domain, namespace).
    """

    namespace: str
    domain: int
    nodes: tuple[NodeFacts, ...] = ()
    streams: Mapping[str, Stream] = field(default_factory=dict)
    mismatches: tuple[Mismatch, ...] = ()
    manager: ManagerFacts | None = None
    lockstep: bool = False
    model_joints: tuple[str, ...] | None = None
    model_trouble: str = ""
    description_fits: bool | None = None
    complaints: tuple[tuple[str, str, str], ...] = ()
    bags: tuple[str, float] | None = None
    elsewhere: tuple[tuple[str, str], ...] = ()
