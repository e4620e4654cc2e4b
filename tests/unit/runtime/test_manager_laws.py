"""Laws that come, keep coming, stop coming, end and fail."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import MbplError, RefusedError
from mbpl_control.runtime import HorizonExecutor

SPRING = np.array([[-30.0, 0.0, 0.0, 0.0], [0.0, -30.0, 0.0, 0.0]])


def test_a_new_plan_waits_for_the_next_activation(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 0.0)))
    bench.law("mean", make_law((-4.0, 0.0)))
    np.testing.assert_allclose(bench.ticks(20)[-1].values, [3.0, 0.0], atol=1e-12)
    bench.switch("mean", off=["mean"])
    np.testing.assert_allclose(bench.ticks(14)[-1].values, [-4.0, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "law", "sequence", "stamps", "message"),
    [
        ("nobody", "law", 9, {}, "no controller 'nobody'"),
        ("hold", "law", 9, {}, "a LinearGaussianController is no law of 'hold', which is of type hold"),
        ("mean", "knot", 9, {}, "a FeedbackLaw is no law of 'mean', which is of type linear_gaussian"),
        ("policy", "law", 9, {}, "a LinearGaussianController is no law of 'policy'"),
        ("mean", "law", 3, {}, "sequence number 3 is not above 3"),
        ("mean", "law", 2, {}, "sequence number 2 is not above 3"),
        ("mean", "law", 9, {"stamp_ns": 1200}, r"stamp is 0\.195 s in the future; at most 0\.050 s"),
        ("mean", "law", 9, {"valid_until_ns": 900}, r"its validity is over since 0\.105 s"),
        ("mean", "anchored", 9, {"stamp_ns": 400}, r"the law of 'mean' was made 0\.605 s ago; at most 0\.500 s"),
        ("mean", "strong", 9, {}, r"gain 2e\+06 at \(0, 1, 2\) is above max_gain 1e\+05"),
        ("mean", "wild", 9, {}, "planned action 25 N of 'mx' is over 2 times its limit, -10 to 10"),
    ],
)
def test_a_law_that_must_not_run_is_refused_with_its_reason_and_nothing_changes(
    bench, make_law, make_knot, name, law, sequence, stamps, message
) -> None:
    strong = np.zeros((20, 2, 4))
    strong[0, 1, 2] = -2e6
    laws = {
        "law": make_law(),
        "knot": make_knot(),
        "anchored": make_law(anchor="stamp"),
        "strong": make_law(gains=strong),
        "wild": make_law((25.0, 0.0)),
    }
    bench.tick()
    bench.core.on_law("mean", make_law((1.0, 1.0)), 3, bench.steady_ns)
    before = bench.core.registry.get("mean").law
    with pytest.raises(MbplError, match=message):
        bench.core.on_law(name, laws[law], sequence, bench.steady_ns, **{k: v * 1_000_000 for k, v in stamps.items()})
    assert bench.core.registry.get("mean").law is before
    assert bench.core.counters.laws_accepted == 1
    if name in bench.core.registry:
        assert bench.core.counters.laws_refused.total() == 1
        assert message.split("'")[0].split("\\")[0] in bench.core.counters.last_refusal
        assert bench.core.registry.get(name).reason.startswith("law refused")


def test_a_plan_whose_horizon_ends_in_a_hold_is_held_stiffly_however_soft_the_fallback(make_bench, make_law) -> None:
    bench = make_bench(fallback="damp")
    bench.tick()
    bench.law("mean", make_law((3.0, 0.0), steps=4, end_rule="hold"))
    bench.switch("mean")
    commands = bench.ticks(41)
    assert [c.controller for c in commands] == ["mean"] * 40 + ["fallback"]
    assert bench.core.reason == "'mean': the horizon of 4 steps is over"
    assert bench.core.registry.get("mean").state == "inactive"
    assert bench.core.counters.fallbacks == 0
    bench.ticks(15)
    bench.q[1] = 0.01
    # 1 kg at 12 rad/s
    assert bench.tick().values[1] == pytest.approx(-0.01 * 144.0)


def test_a_horizon_that_ends_in_the_fallback_counts_as_one(make_bench, make_law) -> None:
    bench = make_bench(fallback="damp")
    bench.tick()
    bench.law("mean", make_law((3.0, 0.0), steps=4, end_rule="fallback"))
    bench.switch("mean")
    bench.ticks(56)
    assert bench.core.counters.fallbacks == 1
    bench.q[0], bench.v[1] = 0.01, 0.1
    # no spring; 1 kg at 12 rad/s, critically damped
    np.testing.assert_allclose(bench.tick().values, [0.0, -0.1 * 2.0 * 12.0], atol=1e-12)


def test_a_last_law_that_is_repeated_goes_on_for_ever(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 0.0), steps=4, end_rule="repeat_last"))
    assert bench.ticks(500)[-1].controller == "mean"


def test_the_end_of_a_horizon_is_no_step_in_the_command(bench, make_law) -> None:
    bench.tick()
    bench.law("mean", make_law((8.0, -16.0), steps=4))
    bench.switch("mean")
    values = np.array([c.values for c in bench.ticks(60)])
    assert np.abs(np.diff(values[13:], axis=0)).max() <= 15 / 8 * 16.0 * 5 / 60 + 1e-9
    np.testing.assert_allclose(values[40], values[39], atol=1e-12)


# --- streams ---


def test_feedback_of_a_stream_as_fast_as_the_states_is_in_force_at_every_tick(bench, make_knot) -> None:
    bench.run("policy", make_knot(gain=SPRING))
    rng = np.random.default_rng(0)
    for _ in range(100):
        bench.q = 0.04 * rng.normal(size=2)
        bench.law("policy", make_knot(gain=SPRING), stamp_ns=bench.stamp_ns)
        np.testing.assert_allclose(bench.tick().values, SPRING[:, :2] @ bench.q, atol=1e-9)


def test_what_a_stream_plays_is_followed_within_its_blending_time(bench, make_knot) -> None:
    bench.run("policy", make_knot())
    wanted, got = [], []
    for tick in range(400):
        effort = 5.0 * np.sin(2 * np.pi * tick / 200)
        wanted.append(effort)
        bench.law("policy", make_knot((effort, 0.0)))
        got.append(bench.tick().values[0])
    # a smooth step of 40 ms is late by half of that, 4 ticks
    np.testing.assert_allclose(got[50:], wanted[46:-4], atol=0.1)


@pytest.mark.parametrize("ticks_between", [1, 3, 10])
def test_laws_of_a_stream_that_disagree_never_step_the_command(bench, make_law, ticks_between: int) -> None:
    bench.run("mean", make_law((5.0, -5.0), anchor="stamp"), valid_from_ns=bench.stamp_ns)
    values, laws = [bench.tick().values], 0
    for tick in range(120):
        if tick % ticks_between == 0:
            laws += 1
            sign = -1.0 if laws % 2 else 1.0
            bench.law("mean", make_law((sign * 5.0, sign * -5.0), anchor="stamp"), valid_from_ns=bench.stamp_ns)
        values.append(bench.tick().values)
    # the differences under way at once are those of the last 40 ms, each 10 in size
    under_way = int(np.ceil(8 / ticks_between))
    assert np.abs(np.diff(values, axis=0)).max() <= under_way * 15 / 8 * 10.0 * 5 / 40 + 1e-9
    assert np.abs(np.diff(values, axis=0)).max() <= 10.0
    assert np.abs(values).max() <= 10.0
    assert bench.core.counters.switches == 1


def test_a_law_of_a_stream_that_never_answered_a_state_leaves_no_trace(make_bench, make_knot) -> None:
    both, one = make_bench(), make_bench()
    for bench in (both, one):
        bench.run("policy", make_knot((1.0, 1.0)))
    both.law("policy", make_knot((-9.0, 9.0)))
    for bench in (both, one):
        bench.sequence = 10
        bench.law("policy", make_knot((3.0, 2.0)))
    for _ in range(12):
        np.testing.assert_array_equal(both.tick().values, one.tick().values)


def test_a_stream_that_falls_silent_is_left_for_the_fallback(bench, make_knot) -> None:
    bench.run("policy", make_knot((1.0, 0.0)))
    bench.law("policy", make_knot((1.0, 0.0)))
    assert {c.controller for c in bench.ticks(100)} == {"policy"}
    command = bench.tick()
    assert (command.controller, command.switched) == ("fallback", True)
    assert bench.core.reason == "no law of 'policy' for 0.505 s; at most 0.500 s is allowed"
    assert bench.core.counters.fallbacks == 1
    # its law is not fresh by being there
    with pytest.raises(RefusedError, match=r"'policy' cannot start: no law of 'policy' for 0\.505 s"):
        bench.switch("policy")


def test_a_law_that_was_on_its_way_for_too_long_is_left_by_its_stamp(bench, make_knot) -> None:
    bench.run("policy", make_knot((1.0, 0.0)))
    bench.law("policy", make_knot((1.0, 0.0)), stamp_ns=bench.stamp_ns - 300_000_000)
    assert {c.controller for c in bench.ticks(40)} == {"policy"}
    assert bench.tick().controller == "fallback"
    assert bench.core.reason == "the law of 'policy' was made 0.505 s ago; at most 0.500 s is allowed"


def test_a_plan_anchored_at_activation_needs_no_stream(bench, make_law) -> None:
    bench.run("mean", make_law((1.0, 0.0), steps=200))
    assert {c.controller for c in bench.ticks(1000)} == {"mean"}


def test_a_knot_whose_validity_is_over_is_left_for_the_fallback(bench, make_knot) -> None:
    bench.run("policy", make_knot((1.0, 0.0)))
    bench.law("policy", make_knot((1.0, 0.0)), valid_until_ns=bench.stamp_ns + 50_000_000)
    assert {c.controller for c in bench.ticks(10)} == {"policy"}
    assert bench.tick().controller == "fallback"
    assert bench.core.reason == "'policy': the law's validity is over"


def test_a_receding_horizon_answers_from_the_stamp_it_was_planned_for(bench, make_law) -> None:
    plan = np.stack([np.linspace(-5, 5, 20), np.zeros(20)], axis=1)
    bench.run("mean", make_law(anchor="stamp"), valid_from_ns=bench.stamp_ns)
    # planned 60 ms ago for a time 10 ms ahead
    bench.law("mean", make_law(nominal_actions=plan, anchor="stamp"), valid_from_ns=bench.stamp_ns + 10_000_000)
    steps = [c.step for c in bench.ticks(30)]
    assert steps == [0] * 11 + [1] * 10 + [2] * 9


# --- failures ---


class Broken(RuntimeError):
    """What a law in a test dies of."""


@pytest.mark.parametrize("kind", ["raises", "nan", "inf"])
def test_a_law_that_fails_is_left_for_the_fallback_and_the_manager_goes_on(bench, make_law, monkeypatch, kind) -> None:
    def fail(self, sample):
        if kind == "raises":
            raise Broken("out of memory")
        return np.array([0.0, np.nan if kind == "nan" else np.inf])

    bench.run("mean", make_law((3.0, 0.0)))
    monkeypatch.setattr(HorizonExecutor, "evaluate", fail)
    command = bench.tick()
    assert command.controller == "fallback"
    assert np.isfinite(command.values).all()
    np.testing.assert_allclose(command.values, [3.0, 0.0], atol=1e-12)
    expected = "out of memory" if kind == "raises" else "it asked for a number that is not finite"
    assert bench.core.reason == f"'mean' failed: {expected}"
    assert (bench.core.counters.errors, bench.core.counters.fallbacks) == (1, 1)
    assert bench.ticks(50)[-1].controller == "fallback"
    bench.switch("hold")
    assert bench.tick().controller == "hold"


def test_a_predecessor_in_a_stream_that_is_over_leaves_the_last_applied_command(bench, make_knot) -> None:
    bench.run("policy", make_knot((4.0, 0.0)), valid_until_ns=bench.stamp_ns + 110_000_000)
    last = bench.tick().values
    bench.law("policy", make_knot((-4.0, 0.0)))
    bench.stamp += 20.0
    command = bench.tick()
    assert command.controller == "policy"
    np.testing.assert_allclose(command.values, last, atol=1e-12)


def test_a_source_that_was_started_anew_counts_from_one_again(bench, make_law) -> None:
    bench.tick()
    bench.core.on_law("mean", make_law(), 40, bench.steady_ns)
    bench.core.on_source_restarted("planner/open_loop")
    with pytest.raises(RefusedError, match="sequence number 1 is not above 40"):
        bench.core.on_law("mean", make_law(), 1, bench.steady_ns)
    bench.core.on_source_restarted("planner/mean")
    bench.core.on_law("mean", make_law(), 1, bench.steady_ns)
    with pytest.raises(RefusedError, match="sequence number 1 is not above 1"):
        bench.core.on_law("mean", make_law(), 1, bench.steady_ns)


def test_a_stream_whose_last_publisher_went_is_left_and_a_plan_goes_on(bench, make_law, make_knot) -> None:
    bench.run("mean", make_law((3.0, 0.0), steps=1000))
    bench.core.on_publishers("planner/mean", 0, [], bench.steady_ns)
    assert bench.tick().controller == "mean"
    bench.law("policy", make_knot(), stamp_ns=bench.stamp_ns)
    bench.switch("policy", off=["mean"])
    bench.tick()
    bench.core.on_publishers("policy/feedback_law", 0, [], bench.steady_ns)
    assert bench.core.reason == "nobody publishes policy/feedback_law any more"


def test_laws_of_streams_are_forgotten_with_the_clock_they_count_on_and_plans_are_kept(
    bench, make_law, make_knot
) -> None:
    bench.run("mean", make_law((3.0, 0.0), steps=1000))
    bench.law("policy", make_knot(), stamp_ns=bench.stamp_ns)
    bench.silence(500)
    # the simulation starts anew, with the robot somewhere else
    bench.lead += bench.stamp - 20.0
    bench.stamp = 20.0
    bench.q[:] = 5.0, -5.0
    command = bench.tick(0.0)
    assert command.controller == "fallback"
    assert "the robot's clock was set back by 1." in bench.core.reason
    np.testing.assert_allclose(bench.ticks(30)[-1].values, 0.0, atol=1e-12)
    with pytest.raises(RefusedError, match="'policy' has no law yet.*clock was set back"):
        bench.switch("policy")
    bench.switch("mean")
    np.testing.assert_allclose(bench.ticks(20)[-1].values, [3.0, 0.0], atol=1e-12)
    bench.law("policy", make_knot((1.0, 1.0)), stamp_ns=bench.stamp_ns)
    bench.switch("policy", off=["mean"])
    np.testing.assert_allclose(bench.ticks(20)[-1].values, [1.0, 1.0], atol=1e-12)
