"""Core types to messages and back, without loss."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from mbpl_msgs import msg

from mbpl_control.core import (
    ActionDefinition,
    FeedbackLaw,
    InvalidFieldError,
    LinearGaussianController,
    LinearGaussianDynamics,
    Refusal,
    StateBlock,
    StateDefinition,
    Trial,
)
from mbpl_control.core.validation import Array

_ANCHORS = {
    "activation": msg.LinearGaussianController.ANCHOR_ACTIVATION,
    "stamp": msg.LinearGaussianController.ANCHOR_STAMP,
}


def time_to_ns(stamp: Time) -> int:
    """Nanoseconds of a time message."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def ns_to_time(nanoseconds: int) -> Time:
    """Time message of nanoseconds."""
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def flat(values: Any) -> array:
    """Numbers, row-major, as what a float64[] field takes without a copy per element."""
    return array("d", np.ascontiguousarray(values, dtype=np.float64).tobytes())


def unflat(owner: str, field: str, values: Sequence[float], shape: tuple[int, ...]) -> Array:
    """A float64[] field as an array of `shape`.

    Raises:
        InvalidFieldError: the field has another number of entries.
    """
    expected = int(np.prod(shape))
    if len(values) != expected:
        allowed = f"{expected}, for shape {tuple(shape)}"
        raise InvalidFieldError(owner, field, f"{len(values)} numbers", allowed, Refusal.SHAPE)
    return np.array(values, dtype=np.float64).reshape(shape)


def state_definition_to_msg(definition: StateDefinition) -> msg.StateDefinition:
    """A state definition as a message."""
    return msg.StateDefinition(
        blocks=[
            msg.StateBlock(kind=b.kind, names=list(b.names), spaces=list(b.spaces), units=list(b.units))
            for b in definition.blocks
        ],
        hash=definition.hash,
    )


def state_definition_from_msg(message: msg.StateDefinition) -> StateDefinition:
    """A message as a state definition.

    Raises:
        InvalidFieldError: it describes none, or its hash is not that of its blocks.
    """
    definition = StateDefinition(
        tuple(StateBlock(b.kind, tuple(b.names), tuple(b.spaces), tuple(b.units)) for b in message.blocks)
    )
    _check_hash("StateDefinition", message.hash, definition.hash)
    return definition


def action_definition_to_msg(definition: ActionDefinition) -> msg.ActionDefinition:
    """An action definition as a message."""
    return msg.ActionDefinition(
        actuator_names=list(definition.actuator_names),
        joint_names=list(definition.joint_names),
        interface=definition.interface,
        units=list(definition.units),
        lower=flat(definition.lower),
        upper=flat(definition.upper),
        hash=definition.hash,
    )


def action_definition_from_msg(message: msg.ActionDefinition) -> ActionDefinition:
    """A message as an action definition.

    Raises:
        InvalidFieldError: it describes none, or its hash is not that of its content.
    """
    definition = ActionDefinition(
        tuple(message.actuator_names),
        tuple(message.joint_names),
        message.interface,
        tuple(message.units),
        np.array(message.lower),
        np.array(message.upper),
    )
    _check_hash("ActionDefinition", message.hash, definition.hash)
    return definition


def controller_to_msg(controller: LinearGaussianController) -> msg.LinearGaussianController:
    """A controller as a message; header, sequence and validity are the sender's to fill in."""
    return msg.LinearGaussianController(
        controller=controller.name,
        joint_names=list(controller.action.joint_names),
        state_definition=state_definition_to_msg(controller.state),
        action_definition=action_definition_to_msg(controller.action),
        steps=controller.steps,
        state_size=controller.state.size,
        tangent_size=controller.state.tangent_size,
        action_size=controller.action.size,
        dt=controller.dt,
        nominal_states=flat(controller.nominal_states),
        nominal_actions=flat(controller.nominal_actions),
        gains=flat(controller.gains),
        feedforward=flat(controller.feedforward),
        covariances=flat(controller.covariances),
        noise_smoothing=controller.noise_smoothing,
        execution=controller.execution,
        end_rule=controller.end_rule,
        anchor=_ANCHORS[controller.anchor],
        metadata=json.dumps(dict(controller.metadata)),
    )


def controller_from_msg(message: msg.LinearGaussianController) -> LinearGaussianController:
    """A message as a controller.

    Raises:
        InvalidFieldError: a definition, a dimension or a number is wrong; it names the field.
    """
    owner = "LinearGaussianController"
    state = state_definition_from_msg(message.state_definition)
    action = action_definition_from_msg(message.action_definition)
    _check_equal(owner, "state_size", message.state_size, state.size)
    _check_equal(owner, "tangent_size", message.tangent_size, state.tangent_size)
    _check_equal(owner, "action_size", message.action_size, action.size)
    _check_names(owner, message.joint_names, action.joint_names)
    steps, nx, ndx, m = message.steps, state.size, state.tangent_size, action.size
    anchors = {value: name for name, value in _ANCHORS.items()}
    if message.anchor not in anchors:
        raise InvalidFieldError(owner, "anchor", str(message.anchor), "0 or 1")

    def numbers(field: str, shape: tuple[int, ...]) -> Array:
        return unflat(owner, field, getattr(message, field), shape)

    return LinearGaussianController(
        state,
        action,
        message.dt,
        numbers("nominal_states", (steps + 1, nx)),
        numbers("nominal_actions", (steps, m)),
        numbers("gains", (steps, m, ndx)),
        numbers("feedforward", (steps, m)),
        numbers("covariances", (steps, m, m)),
        noise_smoothing=message.noise_smoothing,
        execution=message.execution,
        end_rule=message.end_rule,
        anchor=anchors[message.anchor],
        name=message.controller,
        metadata=_metadata(owner, message.metadata),
    )


def feedback_law_to_msg(law: FeedbackLaw) -> msg.FeedbackLaw:
    """One knot as a message; header, sequence, controller, validity and step are the sender's to fill in."""
    return msg.FeedbackLaw(
        joint_names=list(law.action.joint_names),
        state_definition=state_definition_to_msg(law.state),
        action_definition=action_definition_to_msg(law.action),
        reference_state=flat(law.reference_state),
        action=flat(law.nominal_action),
        gain=flat(law.gain),
        covariance=flat(law.covariance),
        step=-1,
    )


def feedback_law_from_msg(message: msg.FeedbackLaw) -> FeedbackLaw:
    """A message as one knot.

    Raises:
        InvalidFieldError: a definition, a dimension or a number is wrong; it names the field.
    """
    owner = "FeedbackLaw"
    state = state_definition_from_msg(message.state_definition)
    action = action_definition_from_msg(message.action_definition)
    _check_names(owner, message.joint_names, action.joint_names)
    nx, ndx, m = state.size, state.tangent_size, action.size
    covariance = message.covariance or [0.0] * (m * m)
    return FeedbackLaw(
        state,
        action,
        unflat(owner, "reference_state", message.reference_state, (nx,)),
        unflat(owner, "action", message.action, (m,)),
        unflat(owner, "gain", message.gain, (m, ndx)),
        unflat(owner, "covariance", covariance, (m, m)),
    )


def dynamics_to_msg(dynamics: LinearGaussianDynamics) -> msg.LinearGaussianDynamics:
    """Dynamics as a message; the header is the sender's to fill in."""
    return msg.LinearGaussianDynamics(
        source=dynamics.source,
        state_definition=state_definition_to_msg(dynamics.state),
        action_definition=action_definition_to_msg(dynamics.action),
        steps=dynamics.steps,
        state_size=dynamics.state.size,
        action_size=dynamics.action.size,
        dt=dynamics.dt,
        a=flat(dynamics.a),
        b=flat(dynamics.b),
        c=flat(dynamics.c),
        covariances=flat(dynamics.covariances),
        samples=dynamics.samples,
        fit_error=flat(dynamics.fit_error),
        metadata=json.dumps(dict(dynamics.metadata)),
    )


def dynamics_from_msg(message: msg.LinearGaussianDynamics) -> LinearGaussianDynamics:
    """A message as dynamics.

    Raises:
        InvalidFieldError: a definition, a dimension or a number is wrong; it names the field.
    """
    owner = "LinearGaussianDynamics"
    state = state_definition_from_msg(message.state_definition)
    action = action_definition_from_msg(message.action_definition)
    _check_equal(owner, "state_size", message.state_size, state.size)
    _check_equal(owner, "action_size", message.action_size, action.size)
    steps, n, m = message.steps, state.size, action.size
    return LinearGaussianDynamics(
        state,
        action,
        message.dt,
        unflat(owner, "a", message.a, (steps, n, n)),
        unflat(owner, "b", message.b, (steps, n, m)),
        unflat(owner, "c", message.c, (steps, n)),
        unflat(owner, "covariances", message.covariances, (steps, n, n)),
        samples=message.samples,
        fit_error=np.array(message.fit_error),
        source=message.source,
        metadata=_metadata(owner, message.metadata),
    )


def trial_to_msg(trial: Trial) -> msg.Trial:
    """A trial as a message; the header is the sender's to fill in."""
    return msg.Trial(
        task=trial.task,
        task_hash=trial.task_hash,
        condition=trial.condition,
        controller=trial.controller,
        seed=trial.seed,
        state_definition=state_definition_to_msg(trial.state),
        action_definition=action_definition_to_msg(trial.action),
        steps=trial.steps,
        state_size=trial.state.size,
        action_size=trial.action.size,
        dt=trial.dt,
        times=flat(trial.times),
        states=flat(trial.states),
        actions=flat(trial.actions),
        costs=flat(trial.costs),
        success=trial.success,
        stop_reason=trial.stop_reason,
        metadata=json.dumps(dict(trial.metadata)),
    )


def trial_from_msg(message: msg.Trial) -> Trial:
    """A message as a trial.

    Raises:
        InvalidFieldError: a definition, a dimension or a number is wrong; it names the field.
    """
    owner = "Trial"
    state = state_definition_from_msg(message.state_definition)
    action = action_definition_from_msg(message.action_definition)
    _check_equal(owner, "state_size", message.state_size, state.size)
    _check_equal(owner, "action_size", message.action_size, action.size)
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
        metadata=_metadata(owner, message.metadata),
    )


def _metadata(owner: str, text: str) -> dict[str, Any]:
    try:
        data = json.loads(text or "{}")
    except ValueError as error:
        raise InvalidFieldError(owner, "metadata", text[:40], "a JSON object") from error
    if not isinstance(data, dict):
        raise InvalidFieldError(owner, "metadata", text[:40], "a JSON object")
    return data


def _check_hash(owner: str, found: str, expected: str) -> None:
    if found != expected:
        allowed = f"{expected!r}, the hash of its content"
        raise InvalidFieldError(owner, "hash", repr(found), allowed, Refusal.DEFINITION)


def _check_equal(owner: str, field: str, found: int, expected: int) -> None:
    if found != expected:
        raise InvalidFieldError(owner, field, str(found), f"{expected}, as its definition says", Refusal.SHAPE)


def _check_names(owner: str, found: Sequence[str], expected: Sequence[str]) -> None:
    if tuple(found) != tuple(expected):
        allowed = "those of the action: " + ", ".join(expected)
        raise InvalidFieldError(owner, "joint_names", ", ".join(found) or "none", allowed, Refusal.JOINTS)
