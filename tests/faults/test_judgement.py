"""The judge of the campaign finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graph import SHIPPED
from judgement import BRAKE, Expected, Judge
from mbpl_msgs.msg import ManagerStatus
from observer import Felt, Record, Sent

from mbpl_control.nodes import conversions as convert
from mbpl_control.tasks import load_task

TASK = load_task("arm_reach")
LIMIT = TASK.action.upper
TICK = 5_000_000
FAULT = 40
HELD = Expected("fallback", ("law_timeout",), reason="no law")


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Of the graph as it ships."""
    return Judge(TASK, SHIPPED)


def record(takes_over: int = FAULT + 100, reason: str = "no law of 'plan'") -> Record:
    """A second of an arm at rest whose controller is lost at tick 40, and held from a tick on."""
    out = Record()
    rest = np.zeros(len(LIMIT))
    for i in range(200):
        name = "plan" if i < takes_over else "fallback"
        out.joints.append(Felt(i * TICK, i * TICK, rest, rest + 0.1))
        out.commands.append(Sent(i * TICK + 1, i * TICK, i + 1, i + 1, name, rest + 0.1))
    status = ManagerStatus(mode="fallback", reason=reason)
    status.header.stamp = convert.ns_to_time(takes_over * TICK)
    out.statuses.append((takes_over * TICK + 2, status))
    out.diagnostics.append((takes_over * TICK + 2, "/mbpl/controller_manager: control", reason))
    return out


def change(made: Record, place: int, **values: object) -> None:
    """Change a command."""
    made.commands[place] = Sent(**{**vars(made.commands[place]), **values})  # type: ignore[arg-type]


def too_much(made: Record) -> None:
    change(made, 60, values=1.01 * LIMIT)


def not_finite(made: Record) -> None:
    made.joints[60] = Felt(60 * TICK, 60 * TICK, np.zeros(len(LIMIT)), np.full(len(LIMIT), np.nan))


def too_fast(made: Record) -> None:
    # the range is twice the limit, and may be crossed in 20 ms
    change(made, 60, values=0.1 + 0.51 * LIMIT)


def a_step(made: Record) -> None:
    for place in range(FAULT + 100, 200):
        change(made, place, values=0.1 + 0.06 * LIMIT)


def back_again(made: Record) -> None:
    change(made, 190, controller="plan")


def silent(made: Record) -> None:
    made.diagnostics.clear()


def moving(made: Record) -> None:
    for place in range(190, 200):
        made.joints[place] = Felt(place * TICK, place * TICK, np.full(len(LIMIT), 0.3), np.zeros(len(LIMIT)))


def test_nothing_is_wrong_with_a_controller_that_is_held_in_time(judge: Judge) -> None:
    found = judge.judge(record(), "plan", HELD, FAULT * TICK + 2)
    assert found.all == []
    assert found.time_to_safe == pytest.approx(0.5)
    assert found.step == 0.0


@pytest.mark.parametrize(
    ("spoil", "words", "grave"),
    [
        (too_much, "1.010 of its limit", True),
        (not_finite, "not finite", True),
        (too_fast, "of what the rate allows", True),
        (a_step, "a step of 0.060 of the limit", True),
        (back_again, "plan commanded after fallback", False),
        (silent, "/diagnostics does not tell", False),
        (moving, "still moves at 0.30 rad/s", False),
    ],
)
def test_the_judge_finds(judge: Judge, spoil: Callable[[Record], None], words: str, grave: bool) -> None:
    made = record()
    spoil(made)
    found = judge.judge(made, "plan", HELD, FAULT * TICK + 2)
    assert any(words in violation for violation in (found.grave if grave else found.violations)), found.all


def test_three_ticks_after_the_time_out_are_too_late_unless_a_command_was_missing(judge: Judge) -> None:
    made = record(FAULT + 103)
    assert "fallback after 0.5150 s" in judge.judge(made, "plan", HELD, FAULT * TICK + 2).violations[0]
    # the manager was not given one state: it owes a tick less
    del made.commands[FAULT + 50]
    found = judge.judge(made, "plan", HELD, FAULT * TICK + 2)
    assert found.violations == []
    assert found.late == pytest.approx(0.005)


def test_a_controller_that_shall_go_on_must_and_a_robot_that_shall_brake_must(judge: Judge) -> None:
    made = record()
    assert "fallback took over: no law" in judge.judge(made, "plan", Expected(), FAULT * TICK + 2).violations[0]
    braking = Expected(BRAKE, ("watchdog_timeout",))
    assert judge.judge(made, "plan", braking, FAULT * TICK + 2).violations == ["no brake came"]
    made.joints[60] = Felt(60 * TICK, 60 * TICK, np.zeros(len(LIMIT)), np.zeros(len(LIMIT)))
    assert judge.judge(made, "plan", braking, FAULT * TICK + 2).time_to_safe == pytest.approx(0.1)
