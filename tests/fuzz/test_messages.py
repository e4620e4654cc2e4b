"""Whatever a message holds, it is a sound object or an error of ours that says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mbpl_msgs import msg, srv
from odd import messages, spoiled

from mbpl_control.core import FeedbackLaw, LinearGaussianController, LinearGaussianDynamics, MbplError, Trial
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.manager_switches import switch_request
from mbpl_control.tasks import load_task

TASK = load_task("reacher_2link")
STEPS = 3
RNG = np.random.default_rng(0)
STATE, ACTION = TASK.robot.state, TASK.action
NX, M = STATE.size, ACTION.size
CONTROLLER = LinearGaussianController(
    STATE,
    ACTION,
    0.05,
    np.zeros((STEPS + 1, NX)),
    np.zeros((STEPS, M)),
    np.zeros((STEPS, M, STATE.tangent_size)),
    covariances=np.tile(np.eye(M), (STEPS, 1, 1)),
    metadata={"cost": 1.0},
)
LAW = FeedbackLaw(STATE, ACTION, np.zeros(NX), np.zeros(M), np.zeros((M, NX)), np.eye(M))
DYNAMICS = LinearGaussianDynamics(
    STATE,
    ACTION,
    0.05,
    np.zeros((STEPS, NX, NX)),
    np.zeros((STEPS, NX, M)),
    np.zeros((STEPS, NX)),
    np.tile(np.eye(NX), (STEPS, 1, 1)),
    samples=5,
    fit_error=np.zeros(STEPS),
)
TRIAL = Trial(
    STATE,
    ACTION,
    0.05,
    np.zeros((STEPS + 1, NX)),
    np.zeros((STEPS, M)),
    0.05 * np.arange(STEPS + 1),
    np.zeros(STEPS + 1),
    task="t",
    task_hash="h",
    condition=0,
    controller="c",
    seed=1,
    success=True,
    stop_reason="completed",
)
#: What is read, by what, and a sound one.
READERS: dict[str, tuple[Any, Any]] = {
    "LinearGaussianController": (convert.controller_from_msg, convert.controller_to_msg(CONTROLLER)),
    "FeedbackLaw": (convert.feedback_law_from_msg, convert.feedback_law_to_msg(LAW)),
    "LinearGaussianDynamics": (convert.dynamics_from_msg, convert.dynamics_to_msg(DYNAMICS)),
    "Trial": (convert.trial_from_msg, convert.trial_to_msg(TRIAL)),
    "StateDefinition": (convert.state_definition_from_msg, convert.state_definition_to_msg(STATE)),
    "ActionDefinition": (convert.action_definition_from_msg, convert.action_definition_to_msg(ACTION)),
    "SwitchController": (switch_request, srv.SwitchController.Request(activate_controllers=["hold"], strictness=1)),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_a_message_with_anything_in_it_is_read_or_refused(tally: Any, name: str, data: st.DataObject) -> None:
    read, sound = READERS[name]
    message = data.draw(st.one_of(spoiled(sound), spoiled(sound), messages(type(sound))))
    tally(f"message {name}")
    try:
        found = read(message)
    except MbplError as error:
        assert str(error)
        return
    # what was accepted can be sent again, and is then the same
    write = {v: k for k, v in WRITERS.items()}.get(type(found))
    if write is not None:
        read(write(found))


WRITERS: dict[Any, type] = {
    convert.controller_to_msg: LinearGaussianController,
    convert.feedback_law_to_msg: FeedbackLaw,
    convert.dynamics_to_msg: LinearGaussianDynamics,
    convert.trial_to_msg: Trial,
}


def test_the_sound_ones_are_accepted() -> None:
    for read, sound in READERS.values():
        read(sound)
    assert msg.FeedbackLaw in {type(sound) for _, sound in READERS.values()}
