"""Core types to messages and back, without loss."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from mbpl_msgs import msg
from std_msgs.msg import Header

from mbpl_control.core import (
    ActionDefinition,
    FeedbackLaw,
    InvalidFieldError,
    LinearGaussianController,
    LinearGaussianDynamics,
    Refusal,
    StateDefinition,
    Trial,
    from_messages,
)
from mbpl_control.core.from_messages import (
    action_definition_from_msg,
    check_equal,
    metadata_of,
    state_definition_from_msg,
    unflat,
)
from mbpl_control.core.validation import Array

#: Both ways of a conversion are found here.
trial_from_msg = from_messages.trial_from_msg

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


def state_definition_to_msg(definition: StateDefinition) -> msg.StateDefinition:
    """A state definition as a message."""
    return msg.StateDefinition(
        blocks=[
            msg.StateBlock(kind=b.kind, names=list(b.names), spaces=list(b.spaces), units=list(b.units))
            for b in definition.blocks
        ],
        hash=definition.hash,
    )


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
    check_equal(owner, "state_size", message.state_size, state.size)
    check_equal(owner, "tangent_size", message.tangent_size, state.tangent_size)
    check_equal(owner, "action_size", message.action_size, action.size)
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
        metadata=metadata_of(owner, message.metadata),
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
    check_equal(owner, "state_size", message.state_size, state.size)
    check_equal(owner, "action_size", message.action_size, action.size)
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
        metadata=metadata_of(owner, message.metadata),
    )


def trial_to_msg(trial: Trial, start_ns: int = 0) -> msg.Trial:
    """A trial as a message; its stamp is that of the state its first step began with, 0 when it has none."""
    return msg.Trial(
        header=Header(stamp=ns_to_time(start_ns)),
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


def _check_names(owner: str, found: Sequence[str], expected: Sequence[str]) -> None:
    if tuple(found) != tuple(expected):
        allowed = "those of the action: " + ", ".join(expected)
        raise InvalidFieldError(owner, "joint_names", ", ".join(found) or "none", allowed, Refusal.JOINTS)
