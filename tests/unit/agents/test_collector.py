"""A trial put together from what was heard of it."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.agents.collector import TrialCollector
from mbpl_control.core import RefusedError

MS = 1_000_000
RAIL = """<mujoco><option gravity="0 0 0"/><worldbody><body><joint name="x" type="slide" axis="1 0 0"/>
<geom size="0.1" contype="0"/></body></worldbody>
<actuator><motor joint="x" ctrlrange="-9 9" ctrllimited="true"/></actuator></mujoco>"""


@pytest.fixture
def collector(make_task) -> TrialCollector:
    """Of 4 steps of 20 ms, heard at 200 Hz."""
    task = make_task(RAIL, [0.0], horizon=4, dt=0.02)
    return TrialCollector(task, "ilqr", 0, 5)


def hear(collector: TrialCollector, times: range, lost: tuple[int, ...] = (), controller: str = "ilqr") -> None:
    """States x = t, v = 1 and commands of t / 10, t in ms; some states and their commands are lost."""
    for t in times:
        if t in lost:
            continue
        x = np.array([float(t), 1.0])
        collector.on_state(t * MS, x, x)
        collector.on_command(t * MS, controller, np.array([0.1 * t]))


def test_the_trial_begins_with_the_first_state_its_controller_answers(collector) -> None:
    hear(collector, range(0, 100, 5), controller="hold")
    assert collector.start_ns is None
    hear(collector, range(100, 185, 5))
    assert collector.start_ns == 100 * MS
    assert collector.complete
    trial, robot = collector.trial()
    np.testing.assert_array_equal(trial.states[:, 0], [100, 120, 140, 160, 180])
    np.testing.assert_array_equal(robot, trial.states)
    # the action of a step is the mean of its four commands
    np.testing.assert_allclose(trial.actions[:, 0], 0.1 * np.array([107.5, 127.5, 147.5, 167.5]))
    assert (trial.stop_reason, trial.seed, trial.controller) == ("completed", 5, "ilqr")
    assert trial.metadata == {"interpolated_states": 0, "steps_without_command": 0}


def test_progress_is_told_in_whole_steps(collector) -> None:
    assert collector.step == 0
    hear(collector, range(100, 141, 5))
    assert (collector.step, collector.complete) == (2, False)
    hear(collector, range(145, 300, 5))
    assert (collector.step, collector.complete) == (4, True)


def test_a_trial_is_all_heard_when_a_command_at_its_end_is_whoever_sent_it(collector) -> None:
    hear(collector, range(100, 175, 5))
    for t in (175, 180):
        collector.on_state(t * MS, np.array([float(t), 1.0]), np.array([float(t), 1.0]))
    assert (collector.complete, collector.answered) == (True, False)
    collector.on_command(175 * MS, "ilqr", np.array([17.5]))
    assert not collector.answered
    collector.on_command(180 * MS, "fallback", np.array([0.0]))
    assert collector.answered
    assert not collector.interrupted_by
    np.testing.assert_allclose(collector.trial()[0].actions[3], 16.75)


def test_what_was_sent_again_counts_once(collector) -> None:
    for _ in range(3):
        hear(collector, range(100, 185, 5))
    np.testing.assert_allclose(collector.trial()[0].actions[0], 10.75)


def test_a_lost_state_is_joined_from_its_neighbours_and_counted(collector) -> None:
    hear(collector, range(100, 185, 5), lost=(120, 140, 145))
    trial, _ = collector.trial()
    np.testing.assert_allclose(trial.states[:, 0], [100, 120, 140, 160, 180])
    assert trial.metadata["interpolated_states"] == 2


def test_a_step_without_a_command_keeps_the_one_before(collector) -> None:
    hear(collector, range(100, 185, 5), lost=(120, 125, 130, 135))
    trial, _ = collector.trial()
    np.testing.assert_allclose(trial.actions[1], 11.5)
    assert trial.metadata["steps_without_command"] == 1


def test_a_gap_of_more_than_a_tenth_of_a_second_is_no_trial(make_task) -> None:
    collector = TrialCollector(make_task(RAIL, [0.0], horizon=10, dt=0.02), "ilqr", 0, 5)
    hear(collector, range(100, 305, 5), lost=tuple(range(105, 205, 5)))
    with pytest.raises(RefusedError, match=r"the states around 0\.020 s of the trial got lost; gaps of at most 0\.1 s"):
        collector.trial()


def test_a_trial_that_ends_early_is_shorter_and_no_success(collector) -> None:
    hear(collector, range(100, 150, 5))
    trial, _ = collector.trial("aborted: pushed over")
    assert (trial.steps, trial.stop_reason, trial.success) == (2, "aborted: pushed over", False)


def test_before_the_first_step_is_over_there_is_no_trial(collector) -> None:
    hear(collector, range(100, 120, 5))
    with pytest.raises(RefusedError, match="the trial of 'ilqr' ended before its first step was over: aborted"):
        collector.trial("aborted")


def test_another_controller_that_commands_meanwhile_is_noticed(collector) -> None:
    hear(collector, range(0, 100, 5), controller="hold")
    hear(collector, range(100, 130, 5))
    assert collector.interrupted_by == ""
    hear(collector, range(130, 150, 5), controller="fallback")
    assert collector.interrupted_by == "fallback"


def test_another_controller_after_the_end_is_none_of_its_business(collector) -> None:
    hear(collector, range(100, 185, 5))
    hear(collector, range(185, 300, 5), controller="hold")
    assert collector.interrupted_by == ""
    assert collector.trial()[0].steps == 4
