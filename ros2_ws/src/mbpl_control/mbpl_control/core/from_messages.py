"""Messages as core types, from whatever library read them: only their attributes are looked at."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.refusal import Refusal
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.trial import Trial
from mbpl_control.core.validation import Array


def unflat(owner: str, field: str, values: Sequence[float], shape: tuple[int, ...]) -> Array:
    """A float64[] field as an array of `shape`.

    Raises:
        InvalidFieldError: the field has another number of entries.
    """
    expected = math.prod(shape)
    if len(values) != expected:
        allowed = f"{expected}, for shape {tuple(shape)}"
        raise InvalidFieldError(owner, field, f"{len(values)} numbers", allowed, Refusal.SHAPE)
    return np.array(values, dtype=np.float64).reshape(shape)


def state_definition_from_msg(message: Any) -> StateDefinition:
    """A message as a state definition.

    Raises:
        InvalidFieldError: it describes none, or its hash is not that of its blocks.
    """
    definition = _state_definition(
        tuple((b.kind, tuple(b.names), tuple(b.spaces), tuple(b.units)) for b in message.blocks)
    )
    check_hash("StateDefinition", message.hash, definition.hash)
    return definition


def action_definition_from_msg(message: Any) -> ActionDefinition:
    """A message as an action definition.

    Raises:
        InvalidFieldError: it describes none, or its hash is not that of its content.
    """
    definition = _action_definition(
        tuple(message.actuator_names),
        tuple(message.joint_names),
        message.interface,
        tuple(message.units),
        tuple(message.lower),
        tuple(message.upper),
        message.hash,
    )
    check_hash("ActionDefinition", message.hash, definition.hash)
    return definition


# a planner sends the same definitions with hundreds of laws a second: they are checked, and hashed, once


@functools.lru_cache(maxsize=64)
def _state_definition(blocks: tuple[tuple[Any, ...], ...]) -> StateDefinition:
    return StateDefinition(tuple(StateBlock(*block) for block in blocks))


@functools.lru_cache(maxsize=64)
def _action_definition(
    actuator_names: tuple[str, ...],
    joint_names: tuple[str, ...],
    interface: str,
    units: tuple[str, ...],
    lower: tuple[float, ...],
    upper: tuple[float, ...],
    claimed: str,
) -> ActionDefinition:
    # `claimed` tells 0.0 from −0.0, which are equal but have hashes of their own
    return ActionDefinition(actuator_names, joint_names, interface, units, np.array(lower), np.array(upper))


def trial_from_msg(message: Any) -> Trial:
    """A message as a trial.

    Raises:
        InvalidFieldError: a definition, a dimension or a number is wrong; it names the field.
    """
    owner = "Trial"
    state = state_definition_from_msg(message.state_definition)
    action = action_definition_from_msg(message.action_definition)
    check_equal(owner, "state_size", message.state_size, state.size)
    check_equal(owner, "action_size", message.action_size, action.size)
    steps = message.steps
    return Trial(
        state,
        action,
        message.dt,
        unflat(owner, "states", message.states, (steps + 1, state.size)),
        unflat(owner, "actions", message.actions, (steps, action.size)),
        unflat(owner, "times", message.times, (steps + 1,)),
        np.array(message.costs),
        task=message.task,
        task_hash=message.task_hash,
        condition=message.condition,
        controller=message.controller,
        seed=message.seed,
        success=message.success,
        stop_reason=message.stop_reason,
        metadata=metadata_of(owner, message.metadata),
    )


def metadata_of(owner: str, text: str) -> dict[str, Any]:
    """The JSON object of a message's metadata.

    Raises:
        InvalidFieldError: it is none.
    """
    try:
        data = json.loads(text or "{}")
    except ValueError as error:
        raise InvalidFieldError(owner, "metadata", text[:40], "a JSON object") from error
    if not isinstance(data, dict):
        raise InvalidFieldError(owner, "metadata", text[:40], "a JSON object")
    return data


def check_hash(owner: str, found: str, expected: str) -> None:
    """Refuse a definition whose hash is not that of its content."""
    if found != expected:
        allowed = f"{expected!r}, the hash of its content"
        raise InvalidFieldError(owner, "hash", repr(found), allowed, Refusal.DEFINITION)


def check_equal(owner: str, field: str, found: int, expected: int) -> None:
    """Refuse a number that is not what a definition says."""
    if found != expected:
        raise InvalidFieldError(owner, field, str(found), f"{expected}, as its definition says", Refusal.SHAPE)
