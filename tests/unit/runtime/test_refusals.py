"""What is refused is counted by what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mbpl_control.core import FeedbackLaw, MbplError, Refusal, StateBlock, StateDefinition
from mbpl_control.nodes import conversions as convert
from mbpl_control.runtime import RobotSample

STRONG = np.array([[0.0, 0.0, 2e6, 0.0], [0.0, 0.0, 0.0, 0.0]])
FOREIGN = StateDefinition((StateBlock("target", ("t",), ("euclidean",), ("m",)),))


def elsewhere(law: FeedbackLaw) -> FeedbackLaw:
    return FeedbackLaw(FOREIGN, law.action, np.zeros(1), law.nominal_action, np.zeros((2, 1)))


#: What is done to a knot of feedback, and what its refusal counts as.
LAWS: dict[Refusal, Callable[..., None]] = {
    Refusal.TYPE: lambda bench, knot: bench.law("mean", knot),
    Refusal.DEFINITION: lambda bench, knot: bench.law("policy", elsewhere(knot)),
    Refusal.JOINTS: lambda bench, knot: bench.law(
        "policy", replace(knot, action=replace(knot.action, joint_names=("y", "x")))
    ),
    Refusal.GAINS: lambda bench, knot: bench.law("policy", replace(knot, gain=STRONG)),
    Refusal.PLAN: lambda bench, knot: bench.law("policy", replace(knot, nominal_action=np.array([0.0, 41.0]))),
    Refusal.ORDER: lambda bench, knot: bench.core.on_law("policy", knot, 0, bench.steady_ns),
    Refusal.STAMP: lambda bench, knot: bench.law("policy", knot, stamp_ns=bench.stamp_ns + 60_000_000),
    Refusal.AGE: lambda bench, knot: bench.law("policy", knot, stamp_ns=bench.stamp_ns - 600_000_000),
}


@pytest.mark.parametrize("kind", LAWS, ids=lambda kind: kind.name)
def test_a_law_that_is_refused_counts_once_as_what_is_wrong_with_it(bench, make_knot, kind: Refusal) -> None:
    bench.tick()
    bench.law("policy", make_knot())
    with pytest.raises(MbplError) as caught:
        LAWS[kind](bench, make_knot())
    assert caught.value.refusal is kind
    assert bench.core.counters.laws_refused == {kind: 1}


#: What is done to the message of a knot, and what its refusal is.
MESSAGES = {
    Refusal.SHAPE: {"gain": [0.0] * 7},
    Refusal.NOT_FINITE: {"action": [0.0, float("nan")]},
    Refusal.COVARIANCE: {"covariance": [1.0, 2.0, 2.0, 1.0]},
    Refusal.JOINTS: {"joint_names": ["x"]},
}


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.name)
def test_a_message_that_holds_no_law_says_which_kind_of_thing_is_wrong(make_knot, kind: Refusal) -> None:
    message = convert.feedback_law_to_msg(make_knot())
    for field, value in MESSAGES[kind].items():
        setattr(message, field, value)
    with pytest.raises(MbplError) as caught:
        convert.feedback_law_from_msg(message)
    assert caught.value.refusal is kind


def test_states_are_counted_likewise(bench) -> None:
    bench.tick()
    bench.tick()
    bench.tick(-1.0)
    bench.stamp += 5.0
    x = np.full(4, np.inf)
    bench.core.tick(RobotSample(x, x[:2], x[2:], bench.stamp_ns), bench.steady_ns)
    assert bench.core.counters.states_refused == {Refusal.STAMP: 1, Refusal.NOT_FINITE: 1}
