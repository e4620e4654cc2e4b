"""Trials out of bags, aligned to control ticks by the stamps in the messages' headers.

The time at which a message was recorded is never looked at. docs/bags.md states the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.bags.applied_laws import in_state_of, law_in_force
from mbpl_control.bags.gathering import KINDS, Gathering
from mbpl_control.bags.mcap_file import Recorded
from mbpl_control.bags.raw import blocks, find_bags, is_complete, metadata_of_bag
from mbpl_control.bags.windows import Window, windows
from mbpl_control.core import ActionDefinition, LinearGaussianController, StateDefinition, Trial
from mbpl_control.core.alignment import knots_of, place, step_means
from mbpl_control.core.errors import BagError, DefinitionMismatchError, InvalidFieldError, RefusedError
from mbpl_control.core.from_messages import action_definition_from_msg, state_definition_from_msg
from mbpl_control.core.state_space import StateSpace
from mbpl_control.core.validation import Array
from mbpl_control.tasks.task import Task

__all__ = ["RecordedTrial", "find_bags", "read_all", "read_recorded"]

#: How near to a condition's start a trial must begin to be one of it, rad or m; asked where nothing tells.
START_TOLERANCE = 0.05
#: Messages of a bag by hand between two looks at whether a trial is over.
LOOK_EVERY = 1000


@dataclass(frozen=True, eq=False)
class RecordedTrial:
    """A trial as its bag tells it, aligned to control ticks by header stamp.

    Attributes:
        path: the bag's directory.
        trial: states (T+1, nx), actions (T, m) as applied, times, costs (none where bag and task give none).
        law: the law in force at each step: x̂ (T+1, nx), û + k (T, m), K, Σ; the last x̂ stands twice, as there is no
            law at the end. None where the bag holds no laws of this controller, or only of part of the actuators.
        metadata: the JSON object under custom_data.mbpl; empty for a bag by another recorder.
        complete: whether its recorder closed it.
        robot_states: (T+1, nq + nv), the robot's own.
        start_ns: stamp of step 0 on the robot's clock.
        applied: `law` in the controller's own state, which may be a part of the trial's.
    """

    path: Path
    trial: Trial
    law: LinearGaussianController | None
    metadata: Mapping[str, Any]
    complete: bool
    robot_states: Array
    start_ns: int
    applied: LinearGaussianController | None = None


def read_recorded(path: Path, task: Task | None = None) -> RecordedTrial:
    """The trial of a bag.

    Args:
        path: directory of the bag.
        task: for what a bag by another recorder does not tell: length, definitions, start condition, costs.

    Raises:
        BagError: the bag cannot be read, lacks something, which is named, or holds more than one trial.
    """
    found = list(_trials(Path(path), task))
    if len(found) != 1:
        raise BagError(f"{path}: holds {len(found)} trials; must be one (read_all reads them all)")
    return found[0]


def read_all(
    paths: Sequence[Path],
    task: Task | None = None,
    progress: Callable[[int, int], None] | None = None,
    without_trial: Callable[[Path, str], None] | None = None,
) -> Iterator[RecordedTrial]:
    """The trials of all bags, one in memory at a time; a bag recorded by hand may hold several.

    Args:
        paths: directories of bags.
        task: as for `read_recorded`.
        progress: told (bags done, bags) after each bag.
        without_trial: told each bag that says itself that its trial was aborted before a step was over, and why; such a
            bag is an error when None.

    Raises:
        BagError: as `read_recorded`.
    """
    for number, path in enumerate(paths):
        try:
            yield from _trials(Path(path), task)
        except BagError:
            why = _aborted(Path(path))
            if without_trial is None or not why:
                raise
            without_trial(Path(path), why)
        if progress is not None:
            progress(number + 1, len(paths))


def _aborted(path: Path) -> str:
    """What a bag says of a trial that was aborted before a step was over; empty for any other bag."""
    metadata = metadata_of_bag(path) if path.is_dir() else {}
    reason = str(metadata.get("stop_reason", ""))
    return reason if reason.startswith("aborted") and "steps" not in metadata else ""


def _trials(path: Path, task: Task | None) -> Iterator[RecordedTrial]:
    metadata, complete = metadata_of_bag(path) if path.is_dir() else {}, is_complete(path)
    gathered = Gathering(path)
    handed_out = False
    for some in _in_parts(blocks(path, set(KINDS.values()))):
        gathered.add(some)
        if metadata:
            continue
        # a bag recorded by hand may be long: a trial that is over is handed out and forgotten, and so is waiting
        ripe = gathered.ripe()
        for window in windows(ripe, metadata, complete, task) if ripe is not None else ():
            handed_out = True
            yield _recorded(gathered, window, metadata, complete, task)
        gathered.forget_what_is_over()
    missing = "" if handed_out else gathered.missing()
    if missing:
        raise BagError(f"{path}: {missing}")
    for window in windows(gathered, metadata, complete, task) if gathered.told or not handed_out else ():
        yield _recorded(gathered, window, metadata, complete, task)


def _in_parts(read: Iterator[list[Recorded]]) -> Iterator[list[Recorded]]:
    for block in read:
        for begin in range(0, len(block), LOOK_EVERY):
            yield block[begin : begin + LOOK_EVERY]


def _recorded(
    gathered: Gathering, window: Window, metadata: Mapping[str, Any], complete: bool, task: Task | None
) -> RecordedTrial:
    path = gathered.path
    try:
        state, action = _definitions(gathered, window, task)
        knots = knots_of(window.start_ns, window.dt, window.steps)
        stamps, x, robot = gathered.states_around(int(knots[0]), int(knots[-1]))
        _check_size(path, "state", x.shape[1], state.size)
        placed = place(knots, stamps, window.dt)
        answered, values = gathered.commands_within(int(knots[0]), int(knots[-1]), window.controller)
        _check_size(path, "joint_commands", values.shape[1], action.size)
        actions, filled = step_means(knots, answered, values)
        own = placed.of(robot, _robot_space(robot, task))
        noted = {"interpolated_states": placed.joined, "steps_without_command": filled}
        trial = _judged(
            Trial(
                state,
                action,
                window.dt,
                placed.of(x, state.space),
                actions,
                costs=window.costs,
                task=window.task,
                task_hash=window.task_hash,
                condition=window.condition,
                controller=window.controller,
                seed=window.seed,
                success=window.success,
                stop_reason=window.stop_reason,
                metadata={**window.metadata, **noted},
            ),
            own,
            window,
            task,
        )
        applied = law_in_force(gathered, window.controller, knots, action, window.dt)
        law = None if applied is None else in_state_of(applied, trial)
    except (InvalidFieldError, RefusedError, DefinitionMismatchError) as error:
        raise BagError(f"{path}: {error}") from error
    return RecordedTrial(path, trial, law, metadata, complete, own, window.start_ns, applied)


def _definitions(gathered: Gathering, window: Window, task: Task | None) -> tuple[StateDefinition, ActionDefinition]:
    """What x and u are, from the bag, or from the task where it does not tell; both must agree."""
    laws = [m for (name, _), m in gathered.laws.items() if name == window.controller]
    sources = ([] if window.told is None else [window.told]) + laws[:1]
    # a law may be one on a part of the state: it is asked last
    states = [m.state_definition for m in ([] if window.told is None else [window.told])]
    states += ([] if gathered.definition is None else [gathered.definition]) + [m.state_definition for m in laws[:1]]
    state = state_definition_from_msg(states[0]) if states else None
    action = action_definition_from_msg(sources[0].action_definition) if sources else None
    if task is not None:
        for name, found, own in (("state", state, task.state), ("action", action, task.action)):
            if found is not None and found.hash != own.hash:
                raise BagError(
                    f"{gathered.path}: its {name} is not that of task '{task.name}': definition {found.hash} in the "
                    f"bag, {own.hash} in {task.path.name}"
                )
        return task.state, task.action
    if state is None:
        raise BagError(
            f"{gathered.path}: nothing tells what its state is: no message on state_definition; give the task"
        )
    if action is None:
        raise BagError(f"{gathered.path}: nothing tells what its action is, no trials or applied_law; give the task")
    return state, action


def _robot_space(robot: Array, task: Task | None) -> StateSpace:
    # joints that turn without end keep counting in `position`, so lines do for who has no task at hand
    return StateSpace(["euclidean"] * robot.shape[1]) if task is None else task.robot.state.space


def _check_size(path: Path, topic: str, found: int, allowed: int) -> None:
    if found != allowed:
        raise BagError(f"{path}: {topic} has {found} numbers; its definition has {allowed}")


def _judged(trial: Trial, robot: Array, window: Window, task: Task | None) -> Trial:
    """The trial with what the task knows of it and the bag does not: start condition, costs, success."""
    if task is None or window.told is not None:
        return trial
    if trial.condition < 0:
        near = [
            c.index
            for c in task.conditions
            if np.abs(robot[0] - c.state)[: task.robot.nq][task.robot.actuated].max() < START_TOLERANCE
        ]
        trial = replace(trial, condition=near[0] if len(near) == 1 else -1)
    if trial.condition < 0 or trial.steps != task.horizon or trial.stop_reason != "completed":
        return trial
    costs = task.cost(trial.condition).evaluate(robot, trial.actions)
    return replace(trial, costs=costs, success=bool(task.success(robot, trial.condition).ok))
