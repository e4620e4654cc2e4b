"""Where trials begin and end in a bag, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mbpl_control.bags.gathering import BYSTANDERS, Gathering, stamp_of
from mbpl_control.core.alignment import SAME_INSTANT
from mbpl_control.core.errors import BagError
from mbpl_control.core.from_messages import metadata_of
from mbpl_control.core.validation import Array
from mbpl_control.tasks.task import Task

COMPLETED = "completed"


@dataclass(frozen=True, eq=False)
class Window:
    """A trial's place on the robot's clock.

    Attributes:
        controller: whose commands are its actions.
        start_ns: stamp of the first state that the controller answered.
        dt: s.
        steps: that are over in the bag.
        stop_reason: "completed", or "aborted: why".
        told: the trial runner's own message; None when there is none in the bag.
        task: name; empty when unknown.
        task_hash: likewise.
        condition: of the start; −1 when unknown.
        seed: of the noise; 0 when unknown.
        success: whether it met the task's rule; False when unknown.
        costs: (steps + 1,); empty when unknown.
        metadata: of the trial.
    """

    controller: str
    start_ns: int
    dt: float
    steps: int
    stop_reason: str = COMPLETED
    told: Any = None
    task: str = ""
    task_hash: str = ""
    condition: int = -1
    seed: int = 0
    success: bool = False
    costs: Array = field(default_factory=lambda: np.zeros(0))
    metadata: Mapping[str, Any] = field(default_factory=dict)


def windows(gathered: Gathering, metadata: Mapping[str, Any], complete: bool, task: Task | None) -> Iterator[Window]:
    """The trials of a bag, in the order of their starts.

    Trials that were told are taken as told. A bag without any holds one for its metadata's controller; without metadata
    one for each time that a controller commands which is not one of `BYSTANDERS`.

    Raises:
        BagError: there is none, its controller or the length of a step is unknown, or not one step is over.
    """
    if gathered.told:
        for message in sorted(gathered.told, key=stamp_of):
            yield _told(gathered, message)
        return
    controller = str(metadata.get("controller", ""))
    runs = _runs(gathered, controller)
    if not runs:
        who = f"'{controller}', whose trial it is" if controller else "a controller"
        raise BagError(f"{gathered.path}: no command of {who}")
    for name, begin, end in runs[:1] if controller else runs:
        yield _run(gathered, name, begin, end, metadata, complete, task)


def _told(gathered: Gathering, message: Any) -> Window:
    start = stamp_of(message)
    if start == 0:
        # a trial told without its start: that of its controller's first command
        runs = _runs(gathered, message.controller)
        if not runs:
            raise BagError(f"{gathered.path}: no command of '{message.controller}', whose trial it is")
        start = runs[0][1]
    return Window(
        message.controller,
        start,
        float(message.dt),
        int(message.steps),
        message.stop_reason,
        message,
        message.task,
        message.task_hash,
        int(message.condition),
        int(message.seed),
        bool(message.success),
        np.array(message.costs),
        metadata_of("Trial", message.metadata),
    )


def _runs(gathered: Gathering, controller: str) -> list[tuple[str, int, int | None]]:
    """Controller, first stamp, and stamp of the next controller's first command, None at the end of the bag."""
    out: list[tuple[str, int, int | None]] = []
    current = ""
    for stamp, name in gathered.in_turn():
        if name == current:
            continue
        if out and out[-1][2] is None:
            out[-1] = (*out[-1][:2], stamp)
        current = name
        if name == controller or (not controller and name and name not in BYSTANDERS):
            out.append((name, stamp, None))
    return out


def _run(
    gathered: Gathering,
    name: str,
    begin: int,
    end: int | None,
    metadata: Mapping[str, Any],
    complete: bool,
    task: Task | None,
) -> Window:
    dt = float(metadata["dt"]) if "dt" in metadata else _step_length(gathered, name, task)
    dt_ns = round(1e9 * dt)
    horizon = int(metadata["horizon"]) if "horizon" in metadata else None if task is None else task.horizon
    newest = max(gathered.states)
    last = newest if end is None else min(end, newest)
    over = (last - begin + SAME_INSTANT) // dt_ns
    steps = over if horizon is None else min(over, horizon)
    if steps < 1:
        raise BagError(f"{gathered.path}: ends before the first step of '{name}' is over")
    reason = str(metadata.get("stop_reason", COMPLETED))
    if horizon is not None and steps < horizon and reason == COMPLETED:
        what = f"{_after(gathered, name, end)} took over" if end is not None else "the bag ends"
        reason = f"aborted: {what} after step {steps} of {horizon}"
    return Window(
        name,
        begin,
        dt,
        steps,
        reason,
        None,
        str(metadata.get("task", "" if task is None else task.name)),
        str(metadata.get("task_hash", "" if task is None else task.hash)),
        int(metadata.get("condition", -1)),
        int(metadata.get("seed", 0)),
        bool(metadata.get("success", False)),
        metadata={},
    )


def _after(gathered: Gathering, name: str, stamp_ns: int) -> str:
    return next(c for s, c in gathered.in_turn() if s >= stamp_ns and c != name)


def _step_length(gathered: Gathering, name: str, task: Task | None) -> float:
    """dt of the task, or from one step of the applied law to the next, s."""
    if task is not None:
        return task.dt
    laws = sorted((stamp, m.step) for (c, stamp), m in gathered.laws.items() if c == name)
    lengths = [b[0] - a[0] for a, b in zip(laws, laws[1:], strict=False) if a[1] >= 0 and b[1] == a[1] + 1]
    if not lengths:
        raise BagError(f"{gathered.path}: nothing tells how long a step of '{name}' is; give the task")
    return 1e-9 * float(np.median(lengths))
